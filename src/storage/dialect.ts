import type { InsertOptions, SqlValue } from './sql-value.js'

/** Several statements as one; see `Dialect.group`. */
export interface StatementGroup {
  readonly sql: string
  /** What a connection runs once before. */
  readonly setUp?: string
}

/** What differs between the databases; everything else is written once. */
export interface Dialect {
  readonly name: 'sqlite' | 'postgres'
  /** Whether a commit waits neither for a disk nor for another process, so that two small ones cost little more than one. */
  readonly commitsQuickly: boolean
  /**
   * `column = ANY(list)`, with the list as ONE bound parameter made by `list()`:
   * `q.all(\`SELECT * FROM t WHERE ${dialect.anyOf('id', 'text')}\`, [dialect.list(ids)])`.
   */
  anyOf(column: string, type: 'text' | 'integer'): string
  /** The bound value for `anyOf`. */
  list(values: readonly (string | number)[]): string
  /**
   * A FROM source that expands one bound JSON parameter (from `rows()`) into rows:
   * `FROM ${dialect.rowsFrom({id: 'integer', key: 'text'})} AS r`.
   */
  rowsFrom(columns: Readonly<Record<string, 'text' | 'integer' | 'real' | 'boolean'>>): string
  rows(values: readonly Record<string, string | number | boolean | null>[]): string
  /** The statement of `Tx.insertMany`, and rows as its parameters: for those who put it into a group. */
  insertSql(table: string, options: InsertOptions): string
  insertParams(rows: readonly Readonly<Record<string, SqlValue>>[], options: InsertOptions): SqlValue[]
  /**
   * Statements that change rows, none of which sees what another has done, as one for `Tx.executeLast`: its parameters
   * are those of all in order. The name is the group's alone.
   */
  group(name: string, statements: readonly string[]): StatementGroup
  isUniqueViolation(error: unknown): boolean
  isRetryable(error: unknown): boolean
}
