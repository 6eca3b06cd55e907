/**
 * Bytes that are read once, from the first on, into buffers of the reader's. Streams hand out a new buffer for each
 * piece, and large ones cost more than what is in them.
 */
export interface ByteSource {
  /** How many there are in all. */
  readonly length: number
  /** Fills a buffer from its beginning, as far as it goes at once. Gives how many bytes that were; 0 at the end. */
  read(buffer: Buffer): Promise<number>
  /** To be called when nobody reads on, also after the end. */
  close(): Promise<void>
}

/** Bytes that are in memory. */
export class MemorySource implements ByteSource {
  readonly length: number
  #rest: Buffer

  constructor(bytes: Buffer) {
    this.length = bytes.length
    this.#rest = bytes
  }

  read(buffer: Buffer): Promise<number> {
    const count = this.#rest.copy(buffer)
    this.#rest = this.#rest.subarray(count)
    return Promise.resolve(count)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** Several sources, one after the other. */
export class JoinedSource implements ByteSource {
  readonly length: number
  readonly #sources: readonly ByteSource[]
  #current = 0

  constructor(sources: readonly ByteSource[]) {
    this.length = sources.reduce((sum, { length }) => sum + length, 0)
    this.#sources = sources
  }

  async read(buffer: Buffer): Promise<number> {
    for (;;) {
      const source = this.#sources[this.#current]
      if (source === undefined) return 0
      const count = await source.read(buffer)
      if (count > 0) return count
      this.#current++
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.close()))
  }
}
