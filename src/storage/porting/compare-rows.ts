import { createHash } from 'node:crypto'
import type { RowBatch } from './port-side.js'
import { LINE_FEED, QUOTE, compareKeys, endOfRow, keyOf, type RowKey } from './row-text.js'
import type { TableShape } from './table-shape.js'

/** What has to be done to the target so that it holds what the source does: deletions first. */
export interface Differences {
  /** Keys of rows that the source has not, or has otherwise. */
  readonly remove: readonly RowKey[]
  /** Rows of the source that the target has not, or has otherwise. */
  readonly insert: readonly Buffer[]
}

export interface Comparison {
  readonly sourceRows: number
  readonly targetRows: number
  readonly differences: number
  /** SHA-256 of the source's rows, in order. */
  readonly checksum: string
}

export interface CompareOptions {
  /** Called again and again; the next rows wait until it has resolved. */
  readonly onDifferences: (differences: Differences) => Promise<void>
  /** Told of rows of the source as they are passed. */
  readonly onRows?: (rows: number) => void
}

/** Differences are handed over when there are so many, or so much in them. */
const MAX_DIFFERENCES = 4_000
const MAX_BYTES = 2 * 1024 * 1024

/**
 * Walks through the rows of a table on both sides, which must come in the same order, and says what differs: byte by byte,
 * so that what is not named is the same.
 */
export async function compareRows(
  table: TableShape,
  { source, target }: { source: AsyncIterable<RowBatch>; target: AsyncIterable<RowBatch> },
  { onDifferences, onRows = () => undefined }: CompareOptions,
): Promise<Comparison> {
  const left = new RowCursor(source)
  const right = new RowCursor(target)
  const hash = createHash('sha256')
  const found = new FoundDifferences(onDifferences)
  const counts = { source: 0, target: 0 }
  const passLeft = (rows: Buffer): void => {
    hash.update(rows)
    const count = countRows(rows)
    counts.source += count
    onRows(count)
  }
  while ((await left.fill()) || (await right.fill())) {
    await right.fill()
    const same = left.takeCommon(right)
    if (same.length > 0) {
      passLeft(same)
      counts.target += countRows(same)
      continue
    }
    const order = compareHeads(left, right, table)
    const row = order <= 0 ? left.takeRow() : undefined
    const other = order >= 0 ? right.takeRow() : undefined
    if (row !== undefined) passLeft(row)
    if (other !== undefined) counts.target++
    await found.add(row, other && keyOf(other, table))
  }
  await found.flush()
  return {
    sourceRows: counts.source,
    targetRows: counts.target,
    differences: found.count,
    checksum: hash.digest('hex'),
  }
}

function compareHeads(left: RowCursor, right: RowCursor, table: TableShape): number {
  const [a, b] = [left.peekRow(), right.peekRow()]
  if (a === undefined) return 1
  return b === undefined ? -1 : compareKeys(keyOf(a, table), keyOf(b, table), table)
}

class FoundDifferences {
  readonly #handOver: CompareOptions['onDifferences']
  #remove: RowKey[] = []
  #insert: Buffer[] = []
  #bytes = 0
  /** Rows that differ. */
  count = 0

  constructor(handOver: CompareOptions['onDifferences']) {
    this.#handOver = handOver
  }

  /** A row of the source, a row of the target, or both in the place of each other: they stay together. */
  async add(row: Buffer | undefined, key: RowKey | undefined): Promise<void> {
    this.count++
    if (key !== undefined) this.#remove.push(key)
    if (row !== undefined) {
      this.#insert.push(row)
      this.#bytes += row.length
    }
    const many = Math.max(this.#insert.length, this.#remove.length) >= MAX_DIFFERENCES
    if (many || this.#bytes >= MAX_BYTES) await this.flush()
  }

  async flush(): Promise<void> {
    const [remove, insert] = [this.#remove, this.#insert]
    this.#remove = []
    this.#insert = []
    this.#bytes = 0
    if (remove.length > 0 || insert.length > 0) await this.#handOver({ remove, insert })
  }
}

/** A place in a stream of rows. */
class RowCursor {
  readonly #batches: AsyncIterator<RowBatch>
  #data: Buffer = Buffer.alloc(0)
  #at = 0

  constructor(batches: AsyncIterable<RowBatch>) {
    this.#batches = batches[Symbol.asyncIterator]()
  }

  /** False at the end. */
  async fill(): Promise<boolean> {
    while (this.#at >= this.#data.length) {
      const next = await this.#batches.next()
      if (next.done === true) return false
      this.#data = next.value.data
      this.#at = 0
    }
    return true
  }

  peekRow(): Buffer | undefined {
    return this.#at < this.#data.length ? this.#data.subarray(this.#at, this.#rowEnd()) : undefined
  }

  takeRow(): Buffer {
    const row = this.#data.subarray(this.#at, this.#rowEnd())
    this.#at += row.length
    return row
  }

  /** Whole rows that are the same here and there, which both then have behind them. */
  takeCommon(other: RowCursor): Buffer {
    const left = this.#data.subarray(this.#at)
    const right = other.#data.subarray(other.#at)
    const length = wholeRows(left, commonLength(left, right))
    this.#at += length
    other.#at += length
    return left.subarray(0, length)
  }

  #rowEnd(): number {
    const end = endOfRow(this.#data, this.#at)
    if (end === -1) throw new Error('A row is not whole')
    return end
  }
}

/** How many bytes are the same at the beginning. */
function commonLength(left: Buffer, right: Buffer): number {
  let [low, high] = [0, Math.min(left.length, right.length)]
  const isSame = (from: number, to: number): boolean => left.compare(right, from, to, from, to) === 0
  if (isSame(0, high)) return high
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (isSame(low, middle)) low = middle
    else high = middle
  }
  return low
}

/** The length of the whole rows in the first bytes. */
function wholeRows(data: Buffer, length: number): number {
  if (length === 0) return 0
  if (!data.subarray(0, length).includes(QUOTE)) return data.lastIndexOf(LINE_FEED, length - 1) + 1
  let end = 0
  for (let next = endOfRow(data, 0); next !== -1 && next <= length; next = endOfRow(data, next)) end = next
  return end
}

function countRows(rows: Buffer): number {
  let count = 0
  for (let end = endOfRow(rows, 0); end !== -1 && end <= rows.length; end = endOfRow(rows, end)) {
    count++
    if (end === rows.length) break
  }
  return count
}
