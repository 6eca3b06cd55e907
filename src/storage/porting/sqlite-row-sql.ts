import { quoteName } from '../sql-text.js'
import { hasOneText } from './row-text.js'
import type { PortedColumn, TableShape } from './table-shape.js'

const TYPES = { text: 'text', integer: 'integer', bytes: 'blob' } as const

/** The statements by which SQLite writes rows in the form of `row-text.ts` itself. */
export interface RowSql {
  /**
   * A batch at once: `data`, `rows`, how many fields are NULL (`nulls`), and how many rows have a value of another type
   * than their column's (`misfits`). Right only when no text has to be quoted.
   */
  readonly plain: string
  /** One result per row, with all that has to be quoted: `data`, and the names of columns with such values. */
  readonly careful: string
}

/**
 * For rows behind a key (whose parts are the first parameters, as bytes), or from the beginning; the last parameter is
 * the number of rows.
 */
export function rowSql(table: TableShape, from: 'beginning' | 'key'): RowSql {
  const { columns } = table
  const single = hasOneText(columns)
  const line = (text: (name: string) => string): string =>
    `concat_ws(char(2), ${columns.map((column) => field(column, text)).join(', ')})`
  const misfits = columns.map(misfit)
  const rows = (fields: string): string =>
    `SELECT ${fields} FROM ${quoteName(table.name)}${from === 'key' ? ` WHERE ${behindKey(table)}` : ''} ` +
    `ORDER BY ${table.key.map(({ name }) => quoteName(name)).join(', ')} LIMIT ?`
  const plain = rows(
    `${line(single ? quoted : quoteName)} AS line, ${misfits.join(' OR ')} AS misfit, ` +
      `${columns.map(({ name }) => `(${quoteName(name)} IS NULL)`).join(' + ')} AS nulls`,
  )
  const names = columns.map(({ name }, index) => `CASE WHEN ${misfits[index]!} THEN '${name}' END`)
  return {
    plain:
      'SELECT CAST(group_concat(line, char(10)) || char(10) AS BLOB) AS data, COUNT(*) AS "rows", ' +
      `SUM(misfit) AS misfits, SUM(nulls) AS nulls FROM (${plain})`,
    careful: rows(
      `CAST(${line(single ? quoted : quotedIfNeeded)} || char(10) AS BLOB) AS data, ` +
        `concat_ws(',', ${names.join(', ')}) AS misfits`,
    ),
  }
}

function field({ name, type }: PortedColumn, text: (name: string) => string): string {
  const column = quoteName(name)
  if (type === 'integer') return `coalesce(${column}, char(3))`
  return type === 'text'
    ? `coalesce(${text(name)}, char(3))`
    : `coalesce('\\x' || lower(hex(${column})), char(3))`
}

function quoted(name: string): string {
  return `char(1) || replace(${quoteName(name)}, char(1), char(1, 1)) || char(1)`
}

function quotedIfNeeded(name: string): string {
  const column = quoteName(name)
  const special = [1, 2, 10, 13].map((code) => `instr(${column}, char(${code}))`).join(' OR ')
  return `CASE WHEN ${special} OR ${column} = char(3) THEN ${quoted(name)} ELSE ${column} END`
}

/** SQLite keeps values of any type in a column; another database does not. */
function misfit({ name, type }: PortedColumn): string {
  return `(typeof(${quoteName(name)}) NOT IN ('${TYPES[type]}', 'null'))`
}

function behindKey({ key }: TableShape): string {
  const names = key.map(({ name }) => quoteName(name)).join(', ')
  const values = key.map(({ type }) => castKey('?', type)).join(', ')
  return key.length === 1 ? `${names} > ${values}` : `(${names}) > (${values})`
}

/** A part of a key, bound as bytes, so that every text is the same again. */
function castKey(value: string, type: PortedColumn['type']): string {
  const text = `CAST(${value} AS TEXT)`
  return type === 'integer' ? `CAST(${text} AS INTEGER)` : text
}
