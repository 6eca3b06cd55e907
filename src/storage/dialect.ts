/** What differs between the databases; everything else is written once. */
export interface Dialect {
  readonly name: 'sqlite' | 'postgres'
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
  isUniqueViolation(error: unknown): boolean
  isRetryable(error: unknown): boolean
}
