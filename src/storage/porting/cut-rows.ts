import { BATCH_BYTES, type RowForm } from './port-side.js'
import { LINE_FEED, endOfRow } from './row-text.js'

/** Whole rows of a stream. */
export interface CutRows {
  readonly data: Buffer
  readonly rows: number
  readonly lastRow: Buffer
}

/** Cuts what PostgreSQL sends between rows, into batches of bounded size. */
export async function* cutRows(
  stream: AsyncIterable<Buffer>,
  form: RowForm,
  batchRows: number,
): AsyncGenerator<CutRows> {
  const next = form === 'json' ? endOfLine : endOfRow
  let pending: Buffer[] = []
  let size = 0
  for await (const part of stream) {
    pending.push(part)
    size += part.length
    if (size < BATCH_BYTES) continue
    let rest = Buffer.concat(pending)
    for (;;) {
      const cut = takeRows(rest, next, batchRows)
      if (cut === undefined) break
      yield cut
      rest = rest.subarray(cut.data.length)
      if (rest.length < BATCH_BYTES) break
    }
    pending = [rest]
    size = rest.length
  }
  for (let rest = Buffer.concat(pending); rest.length > 0;) {
    const cut = takeRows(rest, next, batchRows)
    if (cut === undefined) throw new Error('The last row is not whole')
    yield cut
    rest = rest.subarray(cut.data.length)
  }
}

function takeRows(
  data: Buffer,
  next: (data: Buffer, start: number) => number,
  most: number,
): CutRows | undefined {
  let rows = 0
  let start = 0
  let last = 0
  while (rows < most && start < data.length) {
    const end = next(data, start)
    if (end === -1) break
    last = start
    start = end
    rows++
  }
  if (rows === 0) return undefined
  return { data: data.subarray(0, start), rows, lastRow: data.subarray(last, start) }
}

function endOfLine(data: Buffer, start: number): number {
  return data.indexOf(LINE_FEED, start) + 1 || -1
}
