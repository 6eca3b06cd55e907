import type { Query, Row, SqlValue } from '../database.js'
import { quoteName } from '../sql-text.js'
import type { TableShape } from './table-catalog.js'

/** Rows in memory at a time: a batch ends with whichever comes first. */
const BATCH_ROWS = 1_000

/**
 * All rows of a table by its primary key, in batches: each goes on behind the last of the batch before, so that nothing
 * is held open but the transaction of `q`, in which they are all of one moment.
 */
export async function* readRows(q: Query, table: TableShape): AsyncGenerator<readonly Row[]> {
  const columns = table.columns.map(({ name }) => quoteName(name)).join(', ')
  const key = table.key.map(quoteName)
  const order = key.join(', ')
  const first = `SELECT ${columns} FROM ${quoteName(table.name)} ORDER BY ${order} LIMIT ${BATCH_ROWS}`
  const next =
    `SELECT ${columns} FROM ${quoteName(table.name)} WHERE (${order}) > (${key.map(() => '?').join(', ')}) ` +
    `ORDER BY ${order} LIMIT ${BATCH_ROWS}`
  let rows = await q.all(first)
  while (rows.length > 0) {
    yield rows
    if (rows.length < BATCH_ROWS) return
    const last = rows.at(-1)!
    rows = await q.all(
      next,
      table.key.map((name) => last[name] as SqlValue),
    )
  }
}

/** A row as one line of JSON: its values in the order of the columns, blobs as hexadecimal. */
export function rowToLine(row: Row, { columns }: TableShape): string {
  const values = columns.map(({ name }) => {
    const value = row[name]
    return Buffer.isBuffer(value) ? value.toString('hex') : (value ?? null)
  })
  return `${JSON.stringify(values)}\n`
}

/** The inverse of `rowToLine`. Throws for a line that is no row of these columns. */
export function lineToRow(line: string, { name: table, columns }: TableShape): Record<string, SqlValue> {
  const values: unknown = JSON.parse(line)
  if (!Array.isArray(values) || values.length !== columns.length) {
    throw new Error(`A row of ${table} has not the columns of the table`)
  }
  const row: Record<string, SqlValue> = {}
  for (const [index, { name, type }] of columns.entries()) {
    const value: unknown = values[index]
    if (value === null) row[name] = null
    else if (type === 'blob' && typeof value === 'string') row[name] = Buffer.from(value, 'hex')
    else if (type === 'text' && typeof value === 'string') row[name] = value
    else if ((type === 'integer' || type === 'real') && typeof value === 'number') row[name] = value
    else throw new Error(`A row of ${table} has a ${typeof value} as ${name}`)
  }
  return row
}
