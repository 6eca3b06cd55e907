import type { Database, Tx } from '../database.js'
import { quoteName } from '../sql-text.js'

/** Where a stream's ids come from: every id is larger than all that were handed out before. */
export interface IdSource {
  /** The next `count` ids, ascending. */
  next(tx: Tx, count: number): Promise<number[]>
  /** The largest id handed out so far (by anybody, as of the opening). */
  readonly last: number
}

export interface SequenceOptions {
  /** Of the sequence on PostgreSQL; of the counter on SQLite. */
  readonly sequence: string
  /** The table and column with the ids in use: the sequence never starts below its maximum. */
  readonly table: string
  readonly column: string
  /** For ids stored negated (backfill): the minimum counts. */
  readonly negated?: boolean
  /** Further columns with ids of this sequence. */
  readonly alsoIn?: readonly { readonly table: string; readonly column: string }[]
}

/** Opens the source of a stream's ids. */
export async function openIdSource(db: Database, options: SequenceOptions): Promise<IdSource> {
  const largest = await largestInUse(db, options)
  return db.dialect.name === 'sqlite'
    ? openCounter(db, options.sequence, largest)
    : openSequence(db, options.sequence, largest)
}

async function largestInUse(
  db: Database,
  { table, column, negated = false, alsoIn = [] }: SequenceOptions,
): Promise<number> {
  let largest = 0
  for (const place of [{ table, column }, ...alsoIn]) {
    const name = quoteName(place.column)
    const row = await db.reader.first<{ id: number | null }>(
      `SELECT ${negated ? `-MIN(${name})` : `MAX(${name})`} AS id FROM ${quoteName(place.table)}`,
    )
    largest = Math.max(largest, row?.id ?? 0)
  }
  return largest
}

async function openCounter(db: Database, name: string, largest: number): Promise<IdSource> {
  const last = await db.write('open_counter', async (tx) => {
    await tx.execute(
      `INSERT INTO id_counters (name, value) VALUES (?, ?)
       ON CONFLICT (name) DO UPDATE SET value = MAX(value, excluded.value)`,
      [name, largest],
    )
    return (
      (await tx.first<{ value: number }>('SELECT value FROM id_counters WHERE name = ?', [name]))?.value ?? 0
    )
  })
  return new Counter(name, last)
}

/** Numbers that a counter takes ahead at a time. */
const COUNTER_BLOCK = 1_000

/**
 * A counter of SQLite, where one transaction at a time writes. Numbers are taken ahead in blocks, so that most
 * transactions need no statement for theirs; what is left of a block when the process ends is lost.
 */
class Counter implements IdSource {
  readonly last: number
  readonly #name: string
  #next: number
  /** The last number of the block. */
  #end: number

  constructor(name: string, last: number) {
    this.#name = name
    this.last = last
    this.#next = last + 1
    this.#end = last
  }

  async next(tx: Tx, count: number): Promise<number[]> {
    if (this.#end - this.#next + 1 < count) await this.#takeBlock(tx, count)
    const first = this.#next
    this.#next += count
    return Array.from({ length: count }, (_, index) => first + index)
  }

  async #takeBlock(tx: Tx, count: number): Promise<void> {
    const size = Math.max(COUNTER_BLOCK, count)
    // Never below what was handed out, also by a transaction whose block was rolled back with it.
    const row = await tx.first<{ value: number }>(
      'UPDATE id_counters SET value = MAX(value, ?) + ? WHERE name = ? RETURNING value',
      [this.#next - 1, size, this.#name],
    )
    if (row === undefined) throw new Error(`The counter ${this.#name} is gone`)
    this.#next = row.value - size + 1
    this.#end = row.value
    // Then the database knows nothing of the block.
    tx.afterRollback(() => {
      this.#end = this.#next - 1
    })
  }
}

async function openSequence(db: Database, name: string, largest: number): Promise<IdSource> {
  const { last } = await raiseSequence(db, name, largest)
  return {
    last,
    async next(tx, count) {
      const rows = await tx.all<{ id: number }>(NEXT_VALUES, [quoteName(name), count])
      return rows.map(({ id }) => id)
    },
  }
}

/** One call of nextval a row; the order of the rows is that of the calls. */
const NEXT_VALUES = 'SELECT nextval(CAST(? AS regclass)) AS id FROM generate_series(1, CAST(? AS integer))'

async function raiseSequence(db: Database, name: string, largest: number): Promise<{ last: number }> {
  return db.write('open_sequence', async (tx) => {
    const row = await tx.first<{ last: number }>(
      `SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS last FROM ${quoteName(name)}`,
    )
    const last = row?.last ?? 0
    if (last >= largest) return { last }
    await tx.all('SELECT setval(CAST(? AS regclass), ?)', [quoteName(name), largest])
    return { last: largest }
  })
}

/** Numbers that PostgreSQL's sequence hands to this process at a time. */
const BLOCK = 500

/**
 * Hands out surrogate ids (of rooms, events, snapshots): unique, in no promised order, lost when not used. On PostgreSQL
 * they come from a sequence in blocks; on SQLite, where one process has the file, from a counter in memory.
 */
export class IdAllocator {
  readonly #fetch: ((count: number) => Promise<number[]>) | undefined
  #free: number[] = []
  #last: number
  #refill: Promise<void> | undefined

  private constructor(last: number, fetch?: (count: number) => Promise<number[]>) {
    this.#last = last
    this.#fetch = fetch
  }

  static async open(db: Database, options: SequenceOptions): Promise<IdAllocator> {
    const largest = await largestInUse(db, options)
    if (db.dialect.name === 'sqlite') return new IdAllocator(largest)
    const { last } = await raiseSequence(db, options.sequence, largest)
    const allocator = new IdAllocator(last, async (count) => {
      const rows = await db.reader.all<{ id: number }>(NEXT_VALUES, [quoteName(options.sequence), count])
      return rows.map(({ id }) => id)
    })
    await allocator.ensure(BLOCK)
    return allocator
  }

  /** One id. */
  async next(): Promise<number> {
    while (this.#fetch !== undefined && this.#free.length === 0) await this.ensure(1)
    return this.take()
  }

  /** One id at once, of those that `ensure` has fetched. Throws when there are none left. */
  take(): number {
    if (this.#fetch === undefined) return ++this.#last
    const id = this.#free.pop()
    if (id === undefined) throw new Error('No ids left: call ensure() first')
    // Fetched ahead, so that nobody waits for ids while holding a transaction.
    if (this.#free.length < BLOCK / 2) this.ensure(BLOCK).catch(() => undefined)
    return id
  }

  /** Fetches ids until at least `count` can be taken. */
  async ensure(count: number): Promise<void> {
    while (this.#fetch !== undefined && this.#free.length < count) {
      this.#refill ??= this.#fill(this.#fetch, Math.max(BLOCK, count - this.#free.length))
      await this.#refill
    }
  }

  async #fill(fetch: (count: number) => Promise<number[]>, count: number): Promise<void> {
    try {
      // Taken from the end: the smallest first.
      this.#free = [...(await fetch(count)).reverse(), ...this.#free]
    } finally {
      this.#refill = undefined
    }
  }
}
