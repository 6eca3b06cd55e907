import type { Row, Tx } from '../database.js'
import { quoteName } from '../sql-text.js'
import type { SearchableEvent } from '../stores/event-search.js'
import type { RowKey } from './row-text.js'
import type { Catalog, TableShape } from './table-shape.js'

/** Some rows of a table, in the order of its primary key. */
export interface RowBatch {
  /** Whole rows. */
  readonly data: Buffer
  readonly rows: number
  /** The key of the last row that was looked at. */
  readonly last: RowKey
}

/** A row that the target cannot hold. */
export interface UnstorableRow {
  readonly table: string
  /** For people. */
  readonly key: string
  readonly columns: readonly string[]
  readonly reason: string
}

/** How rows travel: in the form of `row-text.ts`, or as JSON arrays that each end with a comma and a line feed. */
export type RowForm = 'text' | 'json'

export interface ReadOptions {
  /** Only rows behind this one. */
  readonly after?: RowKey | undefined
  /** 'text' by default. */
  readonly form?: RowForm
  /** How many rows a batch has at most. */
  readonly batchRows?: number | undefined
  /** Told of rows that are left out because no other database would take them. */
  readonly onUnstorable?: ((row: UnstorableRow) => void) | undefined
}

/** Where numbers go on: by the name of the sequence, and by the table whose key is numbered. */
export interface NumberSources {
  readonly sequences: Readonly<Record<string, number>>
  readonly identities: Readonly<Record<string, number>>
}

/** A database that is read. Nothing is ever written by way of it. */
export interface PortSide {
  readonly engine: 'sqlite' | 'postgres'
  /** The names of the migrations that it has seen, in order; undefined for a database without any. */
  migrations(): Promise<readonly string[] | undefined>
  catalog(): Promise<Catalog>
  /** Rows by primary key, integers by value and texts byte by byte, in batches of bounded size. */
  read(table: TableShape, options?: ReadOptions): AsyncIterable<RowBatch>
  all<T = Row>(sql: string): Promise<T[]>
  /** How many rows the tables have, all asked at once. */
  counts(tables: readonly TableShape[]): Promise<ReadonlyMap<string, number>>
  /** How much room a table takes with its indexes, in bytes, about. */
  sizes(): Promise<ReadonlyMap<string, number>>
  numbers(): Promise<NumberSources>
  /** Says who else has the database open, as far as can be known. */
  otherUsers(): Promise<string | undefined>
  /** Stays the same as long as nobody writes. */
  changeMark(): Promise<string>
  close(): Promise<void>
}

/** What writes, beside what reads. One transaction at a time. */
export interface PortTarget extends PortSide {
  /** The form in which it takes rows in bulk. */
  readonly bulkForm: RowForm
  transaction<T>(name: string, work: (tx: TargetTx) => Promise<T>): Promise<T>
  /** The indexes of tables beside primary keys: how each is dropped, and made again. */
  indexes(): Promise<readonly IndexDefinition[]>
  setNumbers(tx: TargetTx, numbers: NumberSources): Promise<void>
  /**
   * Makes sure that all that was written outlives a loss of power. `isChanged`: much has been written, which the database
   * has yet to learn of.
   */
  settle(isChanged: boolean): Promise<void>
}

export interface TargetTx extends Tx {
  /** Rows that are not there yet, in a form. */
  insertRows(table: TableShape, data: Buffer, form: RowForm): Promise<void>
  deleteRows(table: TableShape, keys: readonly RowKey[]): Promise<void>
  /** Into the full-text index: of events that it has not yet. */
  insertWords(events: readonly SearchableEvent[]): Promise<void>
}

export interface IndexDefinition {
  readonly name: string
  readonly table: string
  readonly drop: string
  readonly create: string
}

/** The statement of `counts`, the same on both. */
export function countsSql(tables: readonly TableShape[]): string {
  const counts = tables.map(({ name }) => `SELECT '${name}' AS name, COUNT(*) AS n FROM ${quoteName(name)}`)
  return counts.join(' UNION ALL ')
}

/** Batches carry about this much. */
export const BATCH_BYTES = 2 * 1024 * 1024
export const BATCH_ROWS = 4_000
