import type { InsertOptions, SqlValue } from './database.js'
import type { Dialect } from './dialect.js'

/** What the engines below `Database` need of a dialect, beyond what stores see. */
export interface SqlDialect extends Dialect {
  /** The statement that inserts any number of rows. */
  insertSql(table: string, options: InsertOptions): string
  /** The rows as that statement's parameters. */
  insertParams(rows: readonly Readonly<Record<string, SqlValue>>[], options: InsertOptions): SqlValue[]
}
