import { endOfRow, fieldsOf } from './row-text.js'
import type { RowForm } from './port-side.js'
import type { TableShape } from './table-shape.js'

/** Rows in either form as one JSON array, as UTF-8: integers may be texts, bytes are hexadecimal. */
export function jsonArrayOf(data: Buffer, form: RowForm, table: TableShape): Buffer {
  if (form === 'json') {
    // Without the comma and the line feed behind the last one.
    return Buffer.concat([Buffer.from('['), data.subarray(0, -2), Buffer.from(']')])
  }
  const rows: (string | null)[][] = []
  for (let start = 0; start < data.length;) {
    const end = endOfRow(data, start)
    if (end === -1) throw new Error('The last row is not whole')
    rows.push(valuesOf(data.subarray(start, end), table))
    start = end
  }
  return Buffer.from(JSON.stringify(rows))
}

function valuesOf(row: Buffer, { columns }: TableShape): (string | null)[] {
  return fieldsOf(row).map((field, index) => {
    if (field === null) return null
    const text = field.toString()
    return columns[index]!.type === 'bytes' ? text.slice(2) : text
  })
}
