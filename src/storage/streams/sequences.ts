import { mapRecord } from '../../util/map-record.js'
import type { Database, Query, Tx } from '../database.js'
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

/** Opens the sources of streams' ids, all of them in a constant number of statements. */
export async function openIdSources<Name extends string>(
  db: Database,
  sequences: Readonly<Record<Name, SequenceOptions>>,
): Promise<Readonly<Record<Name, IdSource>>> {
  const names = await namesInUse(db, Object.values(sequences))
  const last = db.dialect.name === 'sqlite' ? await raiseCounters(db, names) : await raiseSequences(db, names)
  return mapRecord(sequences, ({ sequence }) => {
    const id = last.get(sequence) ?? 0
    return db.dialect.name === 'sqlite' ? new Counter(sequence, id) : new Sequence(sequence, id)
  })
}

/** A sequence by its name, with the largest id that is in use. */
interface InUse {
  readonly name: string
  readonly largest: number
}

async function namesInUse(db: Database, sequences: readonly SequenceOptions[]): Promise<InUse[]> {
  if (sequences.length === 0) return []
  const places = sequences.flatMap(({ table, column, negated = false, alsoIn = [] }, index) =>
    [{ table, column }, ...alsoIn].map((place) => {
      const name = quoteName(place.column)
      const id = negated ? `-MIN(${name})` : `MAX(${name})`
      return `SELECT ${index} AS sequence, ${id} AS id FROM ${quoteName(place.table)}`
    }),
  )
  const rows = await db.reader.all<{ sequence: number; id: number | null }>(places.join(' UNION ALL '))
  return sequences.map(({ sequence: name }, index) => {
    const ids = rows.filter(({ sequence }) => sequence === index).map(({ id }) => id ?? 0)
    return { name, largest: Math.max(0, ...ids) }
  })
}

/** The values of counters, none of which is below what is in use. */
async function raiseCounters(db: Database, names: readonly InUse[]): Promise<Map<string, number>> {
  return db.write('open_counters', async (tx) => {
    await tx.execute(
      `INSERT INTO id_counters (name, value)
       SELECT r.name, r.largest FROM ${tx.dialect.rowsFrom({ name: 'text', largest: 'integer' })} AS r WHERE 1
       ON CONFLICT (name) DO UPDATE SET value = MAX(value, excluded.value)`,
      [tx.dialect.rows(names.map(({ name, largest }) => ({ name, largest })))],
    )
    const rows = await tx.all<{ name: string; value: number }>('SELECT name, value FROM id_counters')
    return new Map(rows.map(({ name, value }) => [name, value]))
  })
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

/** A sequence of PostgreSQL. */
class Sequence implements IdSource {
  readonly last: number
  readonly #name: string

  constructor(name: string, last: number) {
    this.#name = name
    this.last = last
  }

  next(tx: Tx, count: number): Promise<number[]> {
    return nextValues(tx, this.#name, count)
  }
}

/** One call of nextval a row; the order of the rows is that of the calls. */
async function nextValues(q: Query, name: string, count: number): Promise<number[]> {
  const rows = await q.all<{ id: number }>(
    'SELECT nextval(CAST(? AS regclass)) AS id FROM generate_series(1, CAST(? AS integer))',
    [quoteName(name), count],
  )
  return rows.map(({ id }) => id)
}

/** The values of sequences, none of which is below what is in use. */
async function raiseSequences(db: Database, names: readonly InUse[]): Promise<Map<string, number>> {
  if (names.length === 0) return new Map()
  return db.write('open_sequences', async (tx) => {
    const values = names.map(
      ({ name }, index) =>
        `SELECT ${index} AS sequence, CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS last
         FROM ${quoteName(name)}`,
    )
    const rows = await tx.all<{ sequence: number; last: number }>(values.join(' UNION ALL '))
    const last = new Map(rows.map((row) => [names[row.sequence]!.name, row.last]))
    const behind = names.filter(({ name, largest }) => (last.get(name) ?? 0) < largest)
    if (behind.length === 0) return last
    await tx.all(
      `SELECT setval(CAST(r.name AS regclass), r.largest)
       FROM ${tx.dialect.rowsFrom({ name: 'text', largest: 'integer' })} AS r`,
      [tx.dialect.rows(behind.map(({ name, largest }) => ({ name: quoteName(name), largest })))],
    )
    return new Map([...last, ...behind.map(({ name, largest }) => [name, largest] as const)])
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

  /** Opens several, in a constant number of statements. */
  static async openEach<Name extends string>(
    db: Database,
    sequences: Readonly<Record<Name, SequenceOptions>>,
  ): Promise<Readonly<Record<Name, IdAllocator>>> {
    const names = await namesInUse(db, Object.values(sequences))
    if (db.dialect.name === 'sqlite') {
      const largest = new Map(names.map((inUse) => [inUse.name, inUse.largest]))
      return mapRecord(sequences, ({ sequence }) => new IdAllocator(largest.get(sequence) ?? 0))
    }
    const last = await raiseSequences(db, names)
    return mapRecord(
      sequences,
      ({ sequence }) =>
        new IdAllocator(last.get(sequence) ?? 0, (count) => nextValues(db.reader, sequence, count)),
    )
  }

  static async open(db: Database, options: SequenceOptions): Promise<IdAllocator> {
    return (await IdAllocator.openEach(db, { one: options })).one
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
