import { textRowsOf } from './row-text.js'
import type { RowForm } from './port-side.js'
import type { TableShape } from './table-shape.js'

/** Rows in either form as one JSON array, as UTF-8: integers may be texts, bytes are hexadecimal. */
export function jsonArrayOf(data: Buffer, form: RowForm, { columns }: TableShape): Buffer {
  // Without the comma and the line feed behind the last one.
  if (form === 'json') return Buffer.concat([Buffer.from('['), data.subarray(0, -2), Buffer.from(']')])
  const rows: (string | null)[][] = []
  for (const fields of textRowsOf(data)) {
    rows.push(
      fields.map((field, index) => (columns[index]!.type === 'bytes' ? (field?.slice(2) ?? null) : field)),
    )
  }
  return Buffer.from(JSON.stringify(rows))
}
