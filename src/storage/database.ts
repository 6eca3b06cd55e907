import type { Knex } from 'knex'
import type { Dialect, StatementGroup } from './dialect.js'
import type { InsertOptions, SqlValue } from './sql-value.js'

export type { ColumnType, InsertOptions, SqlValue } from './sql-value.js'

export type Row = Record<string, unknown>

/**
 * Reading. Placeholders are `?` on both databases. Integers come back as numbers, booleans as written (see
 * `Dialect`), blobs as Buffers.
 */
export interface Query {
  readonly dialect: Dialect
  /** All rows of one statement; prepared once per connection and kept. */
  all<T = Row>(sql: string, params?: readonly SqlValue[]): Promise<T[]>
  /** The first row, or undefined. */
  first<T = Row>(sql: string, params?: readonly SqlValue[]): Promise<T | undefined>
  /** Runs what a knex builder says: for simple statements. The builder comes from `knex`. */
  run<T = Row>(builder: Knex.QueryBuilder): Promise<T[]>
  /** A knex instance without a connection of its own: builds statements, cannot run them. */
  readonly knex: Knex
  /**
   * A time (as `performance.now()`) not later than the state that is read: of a transaction its begin, otherwise now.
   */
  readonly snapshotAt: number
}

/** A write transaction. A store method that writes takes one, so that it cannot be called outside. */
export interface Tx extends Query {
  /**
   * One statement that gives no rows; the number of rows changed. Statements keep the order they are issued in,
   * awaited or not.
   */
  execute(sql: string, params?: readonly SqlValue[]): Promise<number>
  /**
   * Inserts any number of rows with one statement (JSON rows expanded in the database).
   * `conflict`: what to do when a row with the same key is there.
   */
  insertMany(table: string, rows: readonly Record<string, SqlValue>[], options: InsertOptions): Promise<void>
  /**
   * The transaction's last statement, which commits it: a transaction that has no other costs one trip to the database.
   * Resolves when it has been run, or with a failure later when the transaction ends.
   */
  executeLast(group: StatementGroup, params: readonly SqlValue[]): Promise<void>
  /** Runs after the commit, in order; a failure is logged and hides nothing. */
  afterCommit(fn: () => void): void
  /** Runs after a rollback. */
  afterRollback(fn: () => void): void
}

export interface Database {
  readonly dialect: Dialect
  /** Single statements outside a transaction, each on its own snapshot. */
  readonly reader: Query
  /** One consistent snapshot for several statements. `name` labels metrics and logs. */
  read<T>(name: string, fn: (q: Query) => Promise<T>): Promise<T>
  /**
   * One transaction. `fn` may run again (serialization failure, busy, deadlock: at most 5 times): it changes memory
   * only in `afterCommit`.
   */
  write<T>(name: string, fn: (tx: Tx) => Promise<T>): Promise<T>
  close(): Promise<void>
}
