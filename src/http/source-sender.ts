import type { ServerResponse } from 'node:http'
import type { ByteSource } from '../util/byte-source.js'

/** For clients that are quick: large pieces cost much less than as many small ones. */
const LARGE_BYTES = 512 * 1024
/** So many clients have large pieces at a time, two each; all others make do with a small one. */
const MAX_LARGE = 12
/** A client that takes its time has one such piece in memory, so that thousands of them may. */
const SMALL_BYTES = 32 * 1024
/** Who takes a byte in less time than this, in milliseconds, is quick: 1 MB a second. */
const QUICK_MS_PER_BYTE = 1000 / 1e6

/** What a file is read into by turns. */
type Buffers = readonly [Buffer, Buffer?]

/**
 * Sends files to clients. Each has buffers of its own, which are read into and sent by turns, so that nothing is
 * allocated for a piece and no client has more in memory than these, whether it reads or not.
 */
export class SourceSender {
  readonly #monotonicMs: () => number
  /** How many have large buffers. */
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
    let buffers: Buffers = [Buffer.allocUnsafeSlow(Math.min(SMALL_BYTES, left))]
    let piece = await readInto(buffers[0], source, left)
    try {
      while (piece.length > 0) {
        left -= piece.length
        const sending = this.#isQuick(response, piece)
        const [current, spare]: Buffers = buffers
        if (spare !== undefined) {
          const [isQuick, next]: [boolean, Buffer] = await Promise.all([
            sending,
            readInto(spare, source, left),
          ])
          piece = next
          buffers = isQuick ? [spare, current] : this.#giveBack(buffers)
        } else {
          if ((await sending) && left > SMALL_BYTES) buffers = this.#enlarged(buffers, left)
          piece = await readInto(buffers[0], source, left)
        }
      }
    } finally {
      this.#giveBack(buffers)
    }
  }

  /** Sends a piece; whether it was taken as quickly as by somebody for whom large ones pay. */
  async #isQuick(response: ServerResponse, piece: Buffer): Promise<boolean> {
    const start = this.#monotonicMs()
    await written(response, piece)
    return this.#monotonicMs() - start <= piece.length * QUICK_MS_PER_BYTE
  }

  /** Large buffers, where not too many have some. */
  #enlarged(buffers: Buffers, left: number): Buffers {
    if (this.#large >= MAX_LARGE) return buffers
    this.#large++
    const size = Math.min(LARGE_BYTES, left)
    return [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)]
  }

  /** A small buffer. */
  #giveBack(buffers: Buffers): Buffers {
    if (buffers.length === 1) return buffers
    this.#large--
    return [Buffer.allocUnsafeSlow(SMALL_BYTES)]
  }
}

/** The next piece; empty where nothing is left. Rejects when the source ends before that. */
async function readInto(buffer: Buffer, source: ByteSource, left: number): Promise<Buffer> {
  if (left === 0) return buffer.subarray(0, 0)
  const count = await source.read(buffer.subarray(0, Math.min(buffer.length, left)))
  if (count === 0) throw new Error('The content is shorter than was said')
  return buffer.subarray(0, count)
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
