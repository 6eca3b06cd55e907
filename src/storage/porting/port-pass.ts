import type { ProgressSink } from '../../util/progress-sink.js'
import { compareRows, type Comparison } from './compare-rows.js'
import { PortBook } from './port-book.js'
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
    const counts = await this.#countRows()
    await this.#copyTables(counts)
    await this.#fillSearchIndex()
    const result = await this.#makeEqual(counts)
    await this.#makeIndexes()
    await this.#setNumbers()
    return result
  }

  async #countRows(): Promise<ReadonlyMap<string, number>> {
    const { source, tables } = this.#context
    const counts = new Map<string, number>()
    for (const { name } of tables) counts.set(name, await source.count(name))
    return counts
  }

  async #copyTables(counts: ReadonlyMap<string, number>): Promise<void> {
    const { tables, progress } = this.#context
    const known = await this.#book.progress()
    const open = tables.filter(({ name }) => known.get(name)?.copied !== true)
    if (open.length === 0) return
    progress.start('copying', sum(open.map(({ name }) => counts.get(name) ?? 0)), 'rows')
    for (const table of open) await this.#copy(table, known.get(table.name)?.position)
    progress.finish()
  }

  /** Rows behind a key. Where one cannot be taken, or others are in the way, the comparison brings what is left. */
  async #copy(table: TableShape, after: RowKey | undefined): Promise<void> {
    const { source, target, signal, batchRows, progress } = this.#context
    let position = after
    const batches = source.read(table, { after, form: target.bulkForm, batchRows })
    for await (const batch of readAhead(batches)) {
      signal.throwIfAborted()
      try {
        await this.#write(table, batch)
      } catch (error) {
        if (!isInTheWay(error) && !isRefused(error)) throw error
        break
      }
      position = batch.last
      this.#count(table, batch.rows)
      progress.advance(batch.rows)
    }
    await target.transaction('port_copied', (tx) =>
      this.#book.save(tx, table.name, { position, copied: true }),
    )
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

  async #makeEqual(counts: ReadonlyMap<string, number>): Promise<PassResult> {
    const { tables, progress } = this.#context
    const results: TableResult[] = []
    const unstorable: UnstorableRow[] = []
    progress.start('comparing', sum([...counts.values()]), 'rows')
    for (const table of tables) {
      const { comparison, left } = await this.#makeTableEqual(table)
      const { sourceRows, targetRows, checksum } = comparison
      await this.#checkCounts(table, { sourceRows: sourceRows + left.length, targetRows })
      unstorable.push(...left)
      const carried = this.#carried.get(table.name) ?? 0
      results.push({ name: table.name, rows: sourceRows, carried, checksum })
    }
    progress.finish()
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

  /** That no row was passed over on either side. */
  async #checkCounts(table: TableShape, seen: { sourceRows: number; targetRows: number }): Promise<void> {
    const { source, target } = this.#context
    const [inSource, inTarget] = await Promise.all([source.count(table.name), target.count(table.name)])
    if (inSource !== seen.sourceRows || inTarget !== seen.targetRows) {
      throw new Error(
        `${table.name} has ${inSource} rows in the source and ${inTarget} in the target, of which ` +
          `${seen.sourceRows} and ${seen.targetRows} were compared`,
      )
    }
  }

  async #makeIndexes(): Promise<void> {
    const { target, signal, note } = this.#context
    const missing = await this.#book.missingIndexes()
    if (missing.length > 0) note(`Making ${missing.length} indexes`)
    for (const { name, create } of missing) {
      signal.throwIfAborted()
      await target.transaction('port_index', async (tx) => {
        await tx.execute(create)
        await this.#book.indexMade(tx, name)
      })
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

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
