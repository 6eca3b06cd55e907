import { createHash } from 'node:crypto'
import type { ProgressSink } from '../../util/progress-sink.js'
import { compareRows, type Comparison } from './compare-rows.js'
import { PortBook, type MissingIndex } from './port-book.js'
import type { PortSide, PortTarget, RowBatch, UnstorableRow } from './port-side.js'
import { readAhead } from './read-ahead.js'
import type { RowKey } from './row-text.js'
import { SEARCHED_TABLE, SEARCH_INDEX, SearchRebuild } from './search-rebuild.js'
import { TableMending, isInTheWay, isRefused, type TableMendingContext } from './table-mending.js'
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
export interface TableResult {
  readonly name: string
  /** On both sides. */
  readonly rows: number
  /** How many of them were carried in this pass. */
  readonly carried: number
  /** SHA-256 of the rows in the form of `row-text.ts`, by primary key. */
  readonly checksum: string
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

const BOTH_EMPTY: { comparison: Comparison; left: UnstorableRow[] } = {
  comparison: {
    sourceRows: 0,
    targetRows: 0,
    differences: 0,
    checksum: createHash('sha256').digest('hex'),
  },
  left: [],
}

/** Rounds in which a table must become the same: removing, inserting, and one that finds nothing to do. */
const MAX_ROUNDS = 4

/**
 * Brings a target, whose schema is there, to the state of the source: copies what has not been copied, then compares all
 * rows of all tables and mends what differs, until nothing does. May be interrupted at any point and begun again.
 */
export class PortPass {
  readonly #context: PassContext
  readonly #book: PortBook
  readonly #search = new SearchRebuild()
  readonly #carried = new Map<string, number>()

  constructor(context: PassContext) {
    this.#context = context
    this.#book = new PortBook(context.target)
  }

  async run(): Promise<PassResult> {
    const { source, target, tables } = this.#context
    const counts = await source.counts(tables)
    await this.#copyTables(counts)
    await this.#fillSearchIndex()
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
    const batches = source.read(table, { after, form: target.bulkForm, batchRows })
    for await (const batch of readAhead(batches)) {
      signal.throwIfAborted()
      try {
        await this.#write(table, batch)
      } catch (error) {
        if (!isInTheWay(error) && !isRefused(error)) throw error
        break
      }
      this.#count(table, batch.rows)
      progress.advance(batch.rows)
    }
    await target.transaction('port_copied', (tx) => this.#book.save(tx, table.name, COPIED))
  }

  async #write(table: TableShape, { data, last }: RowBatch): Promise<void> {
    const { target } = this.#context
    await target.transaction('port_copy', async (tx) => {
      await tx.insertRows(table, data, target.bulkForm)
      await this.#book.save(tx, table.name, { position: last, copied: false })
    })
  }

  /** Made of the target's events: those that are changed by the comparison follow there. */
  async #fillSearchIndex(): Promise<void> {
    const { target, progress, signal, tables } = this.#context
    if (!tables.some(({ name }) => name === SEARCHED_TABLE)) return
    const known = (await this.#book.progress()).get(SEARCH_INDEX)
    if (known?.copied === true) return
    progress.start('indexing words', undefined, 'events')
    let after = known?.position === undefined ? 0 : Number(known.position[0]?.toString())
    for (let more = true; more;) {
      signal.throwIfAborted()
      const last = await target.transaction('port_search', async (tx) => {
        const end = await this.#search.fillNext(tx, after)
        const position = [Buffer.from(String(end ?? after))]
        await this.#book.save(tx, SEARCH_INDEX, { position, copied: end === undefined })
        return end
      })
      if (last !== undefined) progress.advance(last - after)
      after = last ?? after
      more = last !== undefined
    }
    progress.finish()
  }

  async #makeEqual(inSource: Counts, inTarget: Counts): Promise<PassResult> {
    const { target, tables, progress } = this.#context
    const results: TableResult[] = []
    const unstorable: UnstorableRow[] = []
    progress.start('comparing', sum([...inSource.values()]), 'rows')
    for (const table of tables) {
      const { name } = table
      const isEmpty = inSource.get(name) === 0 && inTarget.get(name) === 0
      const { comparison, left } = isEmpty ? BOTH_EMPTY : await this.#makeTableEqual(table)
      const { sourceRows, checksum } = comparison
      expectCount(inSource, { name, rows: sourceRows + left.length, where: 'source' })
      unstorable.push(...left)
      results.push({ name, rows: sourceRows, carried: this.#carried.get(name) ?? 0, checksum })
    }
    progress.finish()
    const mended = await target.counts(tables)
    for (const { name, rows } of results) expectCount(mended, { name, rows, where: 'target' })
    return { tables: results, unstorable }
  }

  /** Compares and mends until a comparison has found no difference but what the target refuses. */
  async #makeTableEqual(table: TableShape): Promise<{ comparison: Comparison; left: UnstorableRow[] }> {
    const { source, target, signal, batchRows, progress } = this.#context
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const left: UnstorableRow[] = []
      const mending = new TableMending({ ...this.#mendingContext(), table })
      const comparison = await compareRows(
        table,
        {
          source: readAhead(source.read(table, { batchRows, onUnstorable: (row) => left.push(row) })),
          target: readAhead(target.read(table, { batchRows })),
        },
        {
          onDifferences: (differences) => mending.apply(differences),
          onRows: (rows) => {
            signal.throwIfAborted()
            if (round === 1) progress.advance(rows)
          },
        },
      )
      this.#count(table, mending.carried)
      const { refused } = mending
      if (comparison.differences === refused.length) {
        return {
          comparison: { ...comparison, sourceRows: comparison.sourceRows - refused.length },
          left: [...left, ...refused],
        }
      }
    }
    throw new Error(`${table.name} does not become the same as in the source`)
  }

  #mendingContext(): Omit<TableMendingContext, 'table'> {
    return { target: this.#context.target, search: this.#search, signal: this.#context.signal }
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
