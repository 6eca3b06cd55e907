import { isAscii } from 'node:buffer'
import type { PortedColumn, TableShape } from './table-shape.js'

/*
 * Rows as both databases write them, byte for byte: the CSV of PostgreSQL's COPY with control characters in the place of
 * commas and quotes, so that hardly any text has to be quoted. Each ends with a line feed; integers are decimal, bytes
 * are hexadecimal after \x.
 */
export const QUOTE = 0x01
export const DELIMITER = 0x02
export const NULL_TEXT = 0x03
export const LINE_FEED = 0x0a
export const CARRIAGE_RETURN = 0x0d

/** A row's primary key: of each column its text as UTF-8. */
export type RowKey = readonly Buffer[]

/** The options of COPY, which make PostgreSQL read (`FROM`) and write (`TO`) this form. */
export function copyOptions({ columns }: TableShape, direction: 'FROM' | 'TO'): string {
  const options = ['FORMAT csv', `DELIMITER E'\\x02'`, `QUOTE E'\\x01'`, `NULL E'\\x03'`]
  if (direction === 'TO' && hasOneText(columns)) options.push('FORCE_QUOTE *')
  return `(${options.join(', ')})`
}

/** A lone text is always quoted: else some would read as the end of all rows, and an empty one as no row. */
export function hasOneText(columns: readonly PortedColumn[]): boolean {
  return columns.length === 1 && columns[0]!.type === 'text'
}

/** Where the row that begins at `start` ends: behind its line feed, or -1 when it is not there as a whole. */
export function endOfRow(rows: Buffer, start: number): number {
  let end = rows.indexOf(LINE_FEED, start)
  for (let from = start; end !== -1;) {
    const quote = rows.subarray(from, end).indexOf(QUOTE)
    if (quote === -1) return end + 1
    // Line feeds between quotes belong to the text. A quote in a text is doubled, which changes nothing here.
    const closing = rows.indexOf(QUOTE, from + quote + 1)
    if (closing === -1) return -1
    if (closing > end) end = rows.indexOf(LINE_FEED, closing)
    from = closing + 1
  }
  return -1
}

/** The fields of one row, in the order of its columns; NULL is null. */
export function fieldsOf(row: Buffer): (Buffer | null)[] {
  const fields: (Buffer | null)[] = []
  const end = row.at(-1) === LINE_FEED ? row.length - 1 : row.length
  let start = 0
  while (start <= end) {
    if (row[start] === QUOTE) {
      const { value, next } = quotedField(row, start)
      fields.push(value)
      start = next + 1
      continue
    }
    const found = row.indexOf(DELIMITER, start)
    const stop = found === -1 || found > end ? end : found
    const field = row.subarray(start, stop)
    fields.push(field.length === 1 && field[0] === NULL_TEXT ? null : field)
    start = stop + 1
  }
  return fields
}

function quotedField(row: Buffer, start: number): { value: Buffer; next: number } {
  const parts: Buffer[] = []
  let from = start + 1
  for (;;) {
    const quote = row.indexOf(QUOTE, from)
    if (quote === -1) throw new Error('A quoted text does not end')
    if (row[quote + 1] !== QUOTE) {
      parts.push(row.subarray(from, quote))
      return { value: parts.length === 1 ? parts[0]! : Buffer.concat(parts), next: quote + 1 }
    }
    // Doubled: one of the two is part of the text.
    parts.push(row.subarray(from, quote + 1))
    from = quote + 2
  }
}

/** One row of fields. */
export function textRowOf(
  fields: readonly (string | null)[],
  { columns }: Pick<TableShape, 'columns'>,
): string {
  const isQuoted = hasOneText(columns)
  return `${fields.map((field) => fieldText(field, isQuoted)).join('\x02')}\n`
}

/** What sets fields and rows apart. */
const SPECIAL = ['\x01', '\x02', '\n', '\r']

function fieldText(field: string | null, isQuoted: boolean): string {
  if (field === null) return '\x03'
  if (!isQuoted && field !== '\x03' && !SPECIAL.some((mark) => field.includes(mark))) return field
  return `\x01${field.replaceAll('\x01', '\x01\x01')}\x01`
}

/** Many whole rows at once, as texts: the fields of each, in the order of its columns. */
export function* textRowsOf(data: Buffer): Generator<(string | null)[]> {
  if (!data.includes(QUOTE)) {
    const lines = textOf(data).split('\n')
    lines.pop()
    for (const line of lines) yield line.split('\x02').map((field) => (field === '\x03' ? null : field))
    return
  }
  for (let start = 0; start < data.length;) {
    const end = endOfRow(data, start)
    if (end === -1) throw new Error('The last row is not whole')
    yield fieldsOf(data.subarray(start, end)).map((field) => field?.toString() ?? null)
    start = end
  }
}

/** As `toString`, many times as fast for what hardly ever is anything else than ASCII. */
function textOf(data: Buffer): string {
  return isAscii(data) ? data.toString('latin1') : data.toString()
}

/** The primary key of a row. */
export function keyOf(row: Buffer, table: TableShape): RowKey {
  const fields = fieldsOf(row)
  return table.key.map((column) => fields[table.columns.indexOf(column)] ?? Buffer.alloc(0))
}

/** The order of the rows: integers by value, texts byte by byte. */
export function compareKeys(left: RowKey, right: RowKey, { key }: TableShape): number {
  for (const [index, { type }] of key.entries()) {
    const [a, b] = [left[index]!, right[index]!]
    const order = type === 'text' ? Buffer.compare(a, b) : compareIntegers(a, b)
    if (order !== 0) return order
  }
  return 0
}

function compareIntegers(a: Buffer, b: Buffer): number {
  const [left, right] = [BigInt(a.toString()), BigInt(b.toString())]
  if (left === right) return 0
  return left < right ? -1 : 1
}

/** A key for people: `room_nid=7, user_id="@a:b.org"`. */
export function describeKey(key: RowKey, table: TableShape): string {
  return table.key
    .map(({ name, type }, index) => {
      const text = key[index]!.toString()
      return `${name}=${type === 'text' ? JSON.stringify(text) : text}`
    })
    .join(', ')
}
