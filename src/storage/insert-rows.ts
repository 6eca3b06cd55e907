import type { ColumnType, InsertOptions, SqlValue } from './database.js'
import { assertStorable, quoteName } from './sql-text.js'

export type InsertRow = Readonly<Record<string, SqlValue>>

/** The columns of an insert, in order. */
export function insertColumns(options: InsertOptions): readonly (readonly [string, ColumnType])[] {
  return Object.entries(options.columns)
}

/** The ON CONFLICT clause; the same words on both databases. */
export function conflictClause({ conflict = 'error' }: InsertOptions): string {
  if (conflict === 'error') return ''
  if (conflict === 'ignore') return ' ON CONFLICT DO NOTHING'
  const key = conflict.key.map(quoteName).join(', ')
  if (conflict.update.length === 0) return ` ON CONFLICT (${key}) DO NOTHING`
  const update = conflict.update.map((name) => `${quoteName(name)} = excluded.${quoteName(name)}`)
  return ` ON CONFLICT (${key}) DO UPDATE SET ${update.join(', ')}`
}

/** Names the statement of an insert: equal texts need equal statements. */
export function insertKey(table: string, options: InsertOptions): string {
  const { conflict = 'error' } = options
  const columns = Object.entries(options.columns)
  const names = columns.map(([name, type]) => `${name}:${type}`).join(',')
  const action =
    typeof conflict === 'string' ? conflict : `${conflict.key.join(',')}>${conflict.update.join(',')}`
  return `${table}(${names})${action}`
}

/**
 * Of rows with the same key only the last: PostgreSQL refuses to update a row twice in one statement, SQLite would
 * update it twice.
 */
export function lastByKey(rows: readonly InsertRow[], options: InsertOptions): readonly InsertRow[] {
  const { conflict } = options
  if (rows.length < 2 || conflict === undefined || typeof conflict === 'string') return rows
  const byKey = new Map<string, InsertRow>()
  for (const row of rows) {
    const key = conflict.key.map((name) => keyPart(row[name])).join('\0')
    byKey.delete(key)
    byKey.set(key, row)
  }
  return byKey.size === rows.length ? rows : [...byKey.values()]
}

function keyPart(value: SqlValue | undefined): string {
  return Buffer.isBuffer(value) ? value.toString('hex') : String(value)
}

/** Splits rows so that no statement carries much more than `maxChars` of text. */
export function* chunkRows(rows: readonly InsertRow[], maxChars: number): Iterable<readonly InsertRow[]> {
  let start = 0
  let size = 0
  for (const [index, row] of rows.entries()) {
    const rowSize = sizeOf(row)
    if (index > start && size + rowSize > maxChars) {
      yield rows.slice(start, index)
      start = index
      size = 0
    }
    size += rowSize
  }
  if (start === 0) yield rows
  else if (start < rows.length) yield rows.slice(start)
}

function sizeOf(row: InsertRow): number {
  let size = 8
  for (const value of Object.values(row)) {
    if (typeof value === 'string') size += value.length + 3
    else size += Buffer.isBuffer(value) ? value.length * 2 + 3 : 8
  }
  return size
}

/** A list as a JSON array, of values that the databases can hold. */
export function stringifyValues(values: readonly (string | number)[]): string {
  return checked(JSON.stringify(values), values)
}

/** Rows as a JSON array of objects. */
export function stringifyRows(rows: readonly InsertRow[]): string {
  return checked(JSON.stringify(rows), rows)
}

/** Rows as a JSON array of arrays, which are short and quick to take apart: `pick` gives the columns of a row. */
export function stringifyColumns(
  rows: readonly InsertRow[],
  pick: (row: InsertRow) => readonly SqlValue[],
): string {
  return checked(JSON.stringify(rows.map(pick)), rows)
}

/**
 * What cannot be stored shows in JSON as `\u0000` or `\ud...`. That may also be the text of a backslash and letters, so
 * only a hit makes us look at the values.
 */
function checked(json: string, values: readonly unknown[]): string {
  if (!json.includes('\\u0000') && !json.includes('\\ud')) return json
  for (const value of values) {
    for (const [name, part] of namedParts(value)) {
      if (typeof part === 'string') assertStorable(part, name)
    }
  }
  return json
}

function namedParts(value: unknown): [string, unknown][] {
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).map(([name, part]) => [`Column ${name}`, part])
  }
  return [['A value', value]]
}
