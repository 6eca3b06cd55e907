import type { ServerResponse } from 'node:http'
import type { ByteSource } from '../util/byte-source.js'

/** For clients that are quick. Reading and sending such pieces costs much less than as many small ones. */
const LARGE_BYTES = 512 * 1024
/** So many clients have large pieces at a time; all others make do with small ones. */
const MAX_LARGE = 16
/** A client that takes its time has one such piece in memory, so that thousands of them may. */
const SMALL_BYTES = 32 * 1024
/** Who takes a byte in less time than this, in milliseconds, is quick: 1 MB a second. */
const QUICK_MS_PER_BYTE = 1000 / 1e6

/**
 * Sends files to clients. Each has one buffer, which is read into and sent by turns: nothing is allocated for a piece,
 * and a client has no more in memory than one piece, whether it is read or not.
 */
export class SourceSender {
  readonly #monotonicMs: () => number
  /** How many have a large buffer. */
  #large = 0

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs
  }

  /**
   * Sends a source to its end and closes it. Never rejects: a client that goes away ends it, and one whose file cannot
   * be read to its end is cut off, since it has been told how long it is.
   */
  async send(source: ByteSource, response: ServerResponse): Promise<void> {
    try {
      await this.#sendAll(source, response)
      response.end()
    } catch {
      response.destroy()
    } finally {
      await source.close().catch(() => undefined)
    }
  }

  async #sendAll(source: ByteSource, response: ServerResponse): Promise<void> {
    let left = source.length
    let isLarge = false
    let buffer = Buffer.allocUnsafeSlow(Math.min(SMALL_BYTES, left))
    try {
      while (left > 0) {
        const count = await source.read(buffer.subarray(0, Math.min(buffer.length, left)))
        if (count === 0) throw new Error('The content is shorter than was said')
        left -= count
        const start = this.#monotonicMs()
        await written(response, buffer.subarray(0, count))
        const isQuick = this.#monotonicMs() - start <= count * QUICK_MS_PER_BYTE
        const size = isQuick ? LARGE_BYTES : SMALL_BYTES
        if (left <= SMALL_BYTES || isQuick === isLarge || !this.#changeTo(isQuick)) continue
        isLarge = isQuick
        buffer = Buffer.allocUnsafeSlow(Math.min(size, left))
      }
    } finally {
      if (isLarge) this.#changeTo(false)
    }
  }

  /** Whether somebody may have a large buffer now, or gives it back. */
  #changeTo(isLarge: boolean): boolean {
    if (isLarge && this.#large >= MAX_LARGE) return false
    this.#large += isLarge ? 1 : -1
    return true
  }
}

/** Resolves when the bytes are no longer needed. Rejects when they cannot be sent. */
function written(response: ServerResponse, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    // A connection that ends may leave what waits for it without an answer.
    const gone = (): void => reject(new Error('The client is gone'))
    if (response.destroyed) {
      gone()
      return
    }
    response.once('close', gone)
    response.write(bytes, (error) => {
      response.off('close', gone)
      if (error) reject(error)
      else resolve()
    })
  })
}
