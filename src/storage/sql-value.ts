/** A value that can be bound to a placeholder. */
export type SqlValue = string | number | boolean | null | Buffer

/** The SQL type of a column in `insertMany`: `json` columns are text on SQLite. */
export type ColumnType = 'text' | 'integer' | 'real' | 'boolean' | 'blob'

export interface InsertOptions {
  /** Columns and their types, in order: the statement is cached by table, columns and conflict. */
  columns: Readonly<Record<string, ColumnType>>
  conflict?: 'error' | 'ignore' | { key: readonly string[]; update: readonly string[] }
}
