import type { Row, SqlValue } from './database.js'
import { assertStorable } from './sql-text.js'

/** One statement on its way to a connection. */
export interface SqlStatement {
  readonly sql: string
  readonly params: readonly SqlValue[]
  /** Whether rows are wanted, or the number of rows changed. */
  readonly wants: 'rows' | 'changes'
  /** The text is already as the driver takes it (from knex), not with `?`. */
  readonly native?: boolean
  /** What the connection must have run once before it can take the statement. */
  readonly setUp?: string
  /** Asked when the statement's turn has come: an error keeps it from running. */
  readonly refuse?: () => Error | undefined
}

export interface SqlResult {
  readonly rows: Row[]
  readonly changes: number
}

/** A connection of a driver. Statements run in the order they are given, whether awaited or not. */
export interface SqlConnection {
  run(statement: SqlStatement): Promise<SqlResult>
}

/** A connection for as long as it is needed. */
export interface ConnectionLease {
  readonly connection: SqlConnection
  /** Gives it back; `broken`: in a state that nobody knows, so that it is thrown away. */
  release(broken?: boolean): void
}

/** Adds the text of the statement (never its values) to a driver's error, for the log. */
export function withStatement(error: Error, { sql }: SqlStatement): Error {
  return Object.assign(error, { statement: sql.length > 1000 ? `${sql.slice(0, 1000)}...` : sql })
}

/** Values as both drivers take them: booleans are 0 and 1, and text is text that the databases can hold. */
export function bindValues(params: readonly SqlValue[]): SqlValue[] {
  return params.map((value, index) => {
    if (typeof value === 'boolean') return Number(value)
    if (typeof value === 'string') assertStorable(value, `Parameter ${index + 1}`)
    return value
  })
}
