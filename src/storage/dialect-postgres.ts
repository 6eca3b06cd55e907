import type { ColumnType, SqlValue } from './database.js'
import type { Dialect } from './dialect.js'
import { conflictClause, insertColumns, stringifyRows, type InsertRow } from './insert-rows.js'
import { assertStorable, quoteName } from './sql-text.js'

/** SQLSTATE codes. */
const UNIQUE_VIOLATION = '23505'
const RETRYABLE = new Set(['40001', '40P01', '55P03'])

const SQL_TYPES: Readonly<Record<ColumnType, string>> = {
  text: 'text',
  integer: 'bigint',
  real: 'double precision',
  boolean: 'smallint',
  blob: 'bytea',
}

/** What is particular to PostgreSQL: lists are arrays, rows are a JSON text or one array per column. */
export const postgresDialect: Dialect = {
  name: 'postgres',

  commitsQuickly: false,

  anyOf: (column, type) => `${column} = ANY(CAST(? AS ${SQL_TYPES[type]}[]))`,

  list: (values) => arrayLiteral(values, 'A value'),

  rowsFrom(columns) {
    const fields = Object.entries(columns).map(([name, type]) => `${quoteName(name)} ${SQL_TYPES[type]}`)
    return `(SELECT * FROM json_to_recordset(CAST(? AS json)) AS x (${fields.join(', ')}))`
  },

  rows: (values) =>
    stringifyRows(
      values.some(hasBoolean)
        ? values.map((row) =>
            Object.fromEntries(Object.entries(row).map(([name, value]) => [name, number(value)])),
          )
        : values,
    ),

  insertSql(table, options) {
    const columns = insertColumns(options)
    const names = columns.map(([name]) => quoteName(name)).join(', ')
    const arrays = columns.map(([, type]) => `CAST(? AS ${SQL_TYPES[type]}[])`)
    return (
      `INSERT INTO ${quoteName(table)} (${names}) ` +
      `SELECT * FROM unnest(${arrays.join(', ')})${conflictClause(options)}`
    )
  },

  insertParams(rows, options) {
    return insertColumns(options).map(([name, type]) =>
      arrayLiteral(
        rows.map((row) => element(row, name, type)),
        `Column ${name}`,
      ),
    )
  },

  group(name, statements) {
    const parts = statements.map((sql, index) => `${quoteName(`${name}_${index + 1}`)} AS (${sql})`)
    return { sql: `WITH ${parts.join(', ')} SELECT 1` }
  },

  isUniqueViolation: (error) => codeOf(error) === UNIQUE_VIOLATION,

  isRetryable: (error) => RETRYABLE.has(codeOf(error) ?? ''),
}

/** Booleans are 0 and 1 in tables. */
function number(value: SqlValue): SqlValue {
  return typeof value === 'boolean' ? Number(value) : value
}

function hasBoolean(row: Readonly<Record<string, SqlValue>>): boolean {
  for (const name in row) if (typeof row[name] === 'boolean') return true
  return false
}

function element(row: InsertRow, name: string, type: ColumnType): string | number | null {
  const value = row[name] ?? null
  if (Buffer.isBuffer(value)) {
    if (type !== 'blob') throw new TypeError(`Column ${name} of type ${type} got bytes`)
    return `\\x${value.toString('hex')}`
  }
  if (type === 'blob' && value !== null)
    throw new TypeError(`Column ${name} takes bytes, got ${typeof value}`)
  return typeof value === 'boolean' ? Number(value) : value
}

/** `{1,NULL,"text"}`. */
function arrayLiteral(values: readonly (string | number | null)[], what: string): string {
  let literal = '{'
  for (const value of values) {
    if (literal.length > 1) literal += ','
    if (value === null) literal += 'NULL'
    else if (typeof value === 'number') literal += String(value)
    else literal += `"${/["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value}"`
  }
  assertStorable(literal, what)
  return `${literal}}`
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
