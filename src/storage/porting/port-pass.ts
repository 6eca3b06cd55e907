import type { ProgressSink } from '../../util/progress-sink.js'
import type { SearchableEvent } from '../stores/event-search.js'
import { compareRows } from './compare-rows.js'
import { PortBook, type MissingIndex } from './port-book.js'
import type { PortSide, PortTarget, RowBatch, RowForm, UnstorableRow } from './port-side.js'
import { readAhead } from './read-ahead.js'
import { RowDigester, digestRows, type RowsDigest } from './row-digest.js'
import type { RowKey } from './row-text.js'
import { SEARCHED_TABLE, SEARCH_INDEX, searchedWords } from './searched-words.js'
import { TableMending, isInTheWay, isRefused } from './table-mending.js'
import type { TableShape } from './table-shape.js'

export interface PassContext {
  readonly source: PortSide
  readonly target: PortTarget
  /** Those of the source. */
  readonly tables: readonly TableShape[]
  readonly batchRows?: number | undefined
  readonly progress: ProgressSink
  /** Aborts between two batches. */
  readonly signal: AbortSignal
  /** Told what is being done that has no progress. */
  readonly note: (text: string) => void
}

/** A table of which every row has been compared. */
export interface TableResult extends RowsDigest {
  readonly name: string
  /** How many of its rows were carried in this pass. */
  readonly carried: number
}

export interface PassResult {
  readonly tables: readonly TableResult[]
  /** Rows of the source that the target cannot hold. */
  readonly unstorable: readonly UnstorableRow[]
}

type Counts = ReadonlyMap<string, number>

/** Indexes of tables with no more rows than this are made together. */
const FEW_ROWS = 20_000

/** Where a table was left is of no interest once all of it has been copied. */
const COPIED = { position: undefined, copied: true } as const

/** The rows of a table that the target can hold, and those that it cannot. */
interface HeldRows {
  readonly digest: RowsDigest
  readonly left: readonly UnstorableRow[]
}

const NO_ROWS: HeldRows = { digest: new RowDigester().finish(), left: [] }

/** Rounds in which a table must become the same: removing, inserting, and one that finds nothing to do. */
const MAX_ROUNDS = 4

/**
 * Brings a target, whose schema is there, to the state of the source: copies what has not been copied, then compares all
 * rows of all tables and mends what differs, until nothing does. May be interrupted at any point and begun again.
 */
export class PortPass {
  readonly #context: PassContext
  readonly #book: PortBook
  readonly #carried = new Map<string, number>()
  /** Of tables that were copied from their beginning to their end in this pass. */
  readonly #copied = new Map<string, HeldRows>()

  constructor(context: PassContext) {
    this.#context = context
    this.#book = new PortBook(context.target)
  }

  async run(): Promise<PassResult> {
    const { source, target, tables } = this.#context
    const counts = await source.counts(tables)
    await this.#copyTables(counts)
    const result = await this.#makeEqual(counts, await target.counts(tables))
    await this.#makeIndexes(counts)
    await this.#setNumbers()
    return result
  }

  async #copyTables(counts: Counts): Promise<void> {
    const { target, tables, progress } = this.#context
    const known = await this.#book.progress()
    const open = tables.filter(({ name }) => known.get(name)?.copied !== true)
    if (open.length === 0) return
    progress.start('copying', sum(open.map(({ name }) => counts.get(name) ?? 0)), 'rows')
    for (const table of open.filter(({ name }) => counts.get(name) !== 0)) {
      await this.#copy(table, known.get(table.name)?.position)
    }
    // Those of empty tables all together.
    const names = open.map(({ name }) => name).filter((name) => counts.get(name) === 0)
    await target.transaction('port_copied', (tx) => this.#book.saveAll(tx, names, COPIED))
    progress.finish()
  }

  /** Rows behind a key. Where one cannot be taken, or others are in the way, the comparison brings what is left. */
  async #copy(table: TableShape, after: RowKey | undefined): Promise<void> {
    const { source, target, signal, batchRows, progress } = this.#context
    const form = target.bulkForm
    const left: UnstorableRow[] = []
    const digester = new RowDigester()
    let isWhole = after === undefined && form === 'text'
    const batches = source.read(table, { after, form, batchRows, onUnstorable: (row) => left.push(row) })
    for await (const batch of readAhead(withWords(table, readAhead(batches), form))) {
      signal.throwIfAborted()
      digester.add(batch)
      try {
        await this.#write(table, batch)
      } catch (error) {
        if (!isInTheWay(error) && !isRefused(error)) throw error
        isWhole = false
        break
      }
      this.#count(table, batch.rows)
      progress.advance(batch.rows)
    }
    if (isWhole) this.#copied.set(table.name, { digest: digester.finish(), left })
    await target.transaction('port_copied', (tx) => this.#book.save(tx, table.name, COPIED))
  }

  async #write(table: TableShape, { data, last, words }: WordedBatch): Promise<void> {
    const { target } = this.#context
    await target.transaction('port_copy', async (tx) => {
      await tx.insertRows(table, data, target.bulkForm)
      await tx.insertWords(words)
      await this.#book.save(tx, table.name, { position: last, copied: false })
    })
  }

  async #makeEqual(inSource: Counts, inTarget: Counts): Promise<PassResult> {
    const { target, tables, progress } = this.#context
    const results: TableResult[] = []
    const unstorable: UnstorableRow[] = []
    progress.start('comparing', sum([...inSource.values()]), 'rows')
    for (const table of tables) {
      const { name } = table
      const isEmpty = inSource.get(name) === 0 && inTarget.get(name) === 0
      const { digest, left } = isEmpty ? NO_ROWS : await this.#makeTableEqual(table)
      expectCount(inSource, { name, rows: digest.rows + left.length, where: 'source' })
      unstorable.push(...left)
      results.push({ name, ...digest, carried: this.#carried.get(name) ?? 0 })
    }
    progress.finish()
    const mended = await target.counts(tables)
    for (const { name, rows } of results) expectCount(mended, { name, rows, where: 'target' })
    return { tables: results, unstorable }
  }

  async #makeTableEqual(table: TableShape): Promise<HeldRows> {
    const copied = this.#copied.get(table.name)
    if (copied !== undefined && (await this.#holds(table, copied.digest))) return copied
    return this.#mendTable(table)
  }

  /** Whether the target has the rows that were copied, no others, and unchanged. */
  async #holds(table: TableShape, { rows, checksum }: RowsDigest): Promise<boolean> {
    const { target, batchRows } = this.#context
    const found = await digestRows(readAhead(target.read(table, { batchRows })), (passed) => {
      this.#passed(passed)
    })
    return found.rows === rows && found.checksum === checksum
  }

  /** Compares and mends until a comparison has found no difference but what the target refuses. */
  async #mendTable(table: TableShape): Promise<HeldRows> {
    const { source, target, signal, batchRows } = this.#context
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const left: UnstorableRow[] = []
      const mending = new TableMending({ target, signal, table })
      const { differences, sourceRows, checksum } = await compareRows(
        table,
        {
          source: readAhead(source.read(table, { batchRows, onUnstorable: (row) => left.push(row) })),
          target: readAhead(target.read(table, { batchRows })),
        },
        {
          onDifferences: (found) => mending.apply(found),
          onRows: (rows) => {
            this.#passed(round === 1 ? rows : 0)
          },
        },
      )
      this.#count(table, mending.carried)
      const { refused } = mending
      if (differences === refused.length) {
        return { digest: { rows: sourceRows - refused.length, checksum }, left: [...left, ...refused] }
      }
    }
    throw new Error(`${table.name} does not become the same as in the source`)
  }

  #passed(rows: number): void {
    this.#context.signal.throwIfAborted()
    this.#context.progress.advance(rows)
  }

  async #makeIndexes(counts: Counts): Promise<void> {
    const { target, signal, note } = this.#context
    const missing = await this.#book.missingIndexes()
    if (missing.length === 0) return
    note(`Making ${missing.length} indexes`)
    const takesTime = ({ table }: MissingIndex): boolean =>
      table === SEARCH_INDEX || (counts.get(table) ?? 0) > FEW_ROWS
    const quick = missing.filter((index) => !takesTime(index))
    for (const group of [quick, ...missing.filter(takesTime).map((index) => [index])]) {
      signal.throwIfAborted()
      await target.transaction('port_index', (tx) => this.#book.makeIndexes(tx, group))
    }
  }

  async #setNumbers(): Promise<void> {
    const { source, target } = this.#context
    const numbers = await source.numbers()
    await target.transaction('port_numbers', (tx) => target.setNumbers(tx, numbers))
  }

  #count(table: TableShape, rows: number): void {
    this.#carried.set(table.name, (this.#carried.get(table.name) ?? 0) + rows)
  }
}

interface WordedBatch extends RowBatch {
  /** For the full-text index. */
  readonly words: readonly SearchableEvent[]
}

/** Batches with their words, which are looked for while the batch before is being written. */
async function* withWords(
  table: TableShape,
  batches: AsyncIterable<RowBatch>,
  form: RowForm,
): AsyncGenerator<WordedBatch, void, undefined> {
  for await (const batch of batches) {
    const words = table.name === SEARCHED_TABLE ? searchedWords(table, batch.data, form) : []
    yield { ...batch, words }
  }
}

/** That no row was passed over. */
function expectCount(
  counts: Counts,
  { name, rows, where }: { name: string; rows: number; where: 'source' | 'target' },
): void {
  const expected = counts.get(name) ?? 0
  if (rows === expected) return
  throw new Error(`${name} has ${expected} rows in the ${where}, of which ${rows} were compared`)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
