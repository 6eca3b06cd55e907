import { createHash } from 'node:crypto'
import type { RowBatch } from './port-side.js'

/** What can be said of the rows of a table: the same of those of any database that holds the same. */
export interface RowsDigest {
  readonly rows: number
  /** SHA-256 of the rows in the form of `row-text.ts`, by primary key. */
  readonly checksum: string
}

/** Takes the digest of rows that pass. */
export class RowDigester {
  readonly #hash = createHash('sha256')
  #rows = 0

  add({ data, rows }: Pick<RowBatch, 'data' | 'rows'>): void {
    this.#hash.update(data)
    this.#rows += rows
  }

  /** Once, at the end. */
  finish(): RowsDigest {
    return { rows: this.#rows, checksum: this.#hash.digest('hex') }
  }
}

/** The digest of rows that nobody else wants. `onRows` is told how many have passed. */
export async function digestRows(
  batches: AsyncIterable<RowBatch>,
  onRows: (rows: number) => void,
): Promise<RowsDigest> {
  const digester = new RowDigester()
  for await (const batch of batches) {
    digester.add(batch)
    onRows(batch.rows)
  }
  return digester.finish()
}
