import type { ColumnType, InsertOptions, Row, SqlValue } from './database.js'
import type { Dialect } from './dialect.js'
import {
  conflictClause,
  insertColumns,
  stringifyColumns,
  stringifyRows,
  stringifyValues,
} from './insert-rows.js'
import { quoteName, replacePlaceholders } from './sql-text.js'

/** What is particular to SQLite: lists and rows travel as one JSON text, expanded by `json_each`. */
export const sqliteDialect: Dialect = {
  name: 'sqlite',

  commitsQuickly: true,

  anyOf: (column) => `${column} IN (SELECT value FROM json_each(?))`,

  list: (values) => stringifyValues(values),

  rowsFrom(columns) {
    const fields = Object.keys(columns).map((name) => `value ->> '$.${name}' AS ${quoteName(name)}`)
    return `(SELECT ${fields.join(', ')} FROM json_each(?))`
  },

  rows: (values) => stringifyRows(values),

  insertSql(table, options) {
    const columns = Object.entries(options.columns)
    const names = columns.map(([name]) => quoteName(name)).join(', ')
    const fields = columns.map(([, type], index) =>
      type === 'blob' ? `unhex(value ->> ${index})` : `value ->> ${index}`,
    )
    return (
      `INSERT INTO ${quoteName(table)} (${names}) ` +
      // The WHERE keeps ON CONFLICT from being read as a join's ON.
      `SELECT ${fields.join(', ')} FROM json_each(?) WHERE 1${conflictClause(options)}`
    )
  },

  insertParams(rows, options): SqlValue[] {
    return [rowsAsArrays(rows, options)]
  },

  /**
   * The statements are those of a trigger on a view that exists for the connection alone: whoever inserts a row of
   * parameters into the view runs them all.
   */
  group(name, statements) {
    let count = 0
    const body = statements.map((sql) => `${replacePlaceholders(sql, () => `NEW.p${++count}`)};`).join('\n')
    const params = Array.from({ length: count }, (_, index) => `p${index + 1}`)
    const view = quoteName(name)
    return {
      sql: `INSERT INTO ${view} VALUES (${params.map(() => '?').join(', ')})`,
      setUp:
        `CREATE TEMP VIEW ${view} (${params.join(', ')}) AS SELECT ${params.map(() => 'NULL').join(', ')};\n` +
        `CREATE TEMP TRIGGER ${quoteName(`${name}_all`)} INSTEAD OF INSERT ON ${view} BEGIN\n${body}\nEND`,
    }
  },

  isUniqueViolation: (error) =>
    isSqliteError(error) && /^SQLITE_CONSTRAINT: (UNIQUE|PRIMARY KEY) constraint failed/.test(error.message),

  isRetryable: (error) =>
    isSqliteError(error) && (error.code === 'SQLITE_BUSY' || error.code === 'SQLITE_LOCKED'),
}

function rowsAsArrays(rows: readonly Readonly<Record<string, SqlValue>>[], options: InsertOptions): string {
  const columns = insertColumns(options)
  return stringifyColumns(rows, (row) => columns.map(([name, type]) => jsonValue(row, name, type)))
}

function jsonValue(row: Readonly<Record<string, SqlValue>>, name: string, type: ColumnType): SqlValue {
  const value = row[name] ?? null
  if (Buffer.isBuffer(value)) {
    if (type !== 'blob') throw new TypeError(`Column ${name} of type ${type} got bytes`)
    return value.toString('hex')
  }
  if (type === 'blob' && value !== null)
    throw new TypeError(`Column ${name} takes bytes, got ${typeof value}`)
  return typeof value === 'boolean' ? Number(value) : value
}

function isSqliteError(error: unknown): error is Error & { code: string } & Row {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_')
}
