import { createHash } from 'node:crypto'
import { mkdir, open, readdir, rm, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { MatrixError } from '../../protocol/errors.js'
import { randomToken } from '../../util/random.js'

/** A file that has arrived, whole, in a place of its own on the disk. Whoever has it removes it or moves it away. */
export interface IncomingFile {
  readonly path: string
  /** In bytes. */
  readonly length: number
  /** In hexadecimal. */
  readonly sha256: string
}

export interface ReceiveOptions {
  readonly maxBytes: number
  /** What to throw as soon as more come. */
  readonly tooLarge: () => Error
}

/** Takes files from where they come to the disk, piece by piece: none is ever whole in memory. */
export class IncomingFiles {
  readonly #directory: string
  #made: Promise<unknown> | undefined

  constructor(directory: string) {
    this.#directory = directory
  }

  /**
   * Reads a stream to its end. Nothing remains of it when that fails; the stream itself is left as it is, so that
   * whoever sends can still be answered. Throws `M_UNKNOWN` (400) when the sender goes away.
   */
  async receive(stream: Readable, options: ReceiveOptions): Promise<IncomingFile> {
    this.#made ??= mkdir(this.#directory, { recursive: true })
    await this.#made
    const path = join(this.#directory, randomToken())
    const handle = await open(path, 'wx', 0o640)
    try {
      const received = await readInto(handle, stream, options)
      // What the database says is there must be there after the loss of power too.
      await handle.datasync()
      await handle.close()
      return { path, ...received }
    } catch (error) {
      await handle.close().catch(() => undefined)
      await this.remove(path)
      throw error
    }
  }

  /** Files that are not there count as removed. */
  async remove(path: string): Promise<void> {
    await rm(path, { force: true })
  }

  /** How many there are, on their way or left behind. */
  async count(): Promise<number> {
    return (await readdir(this.#directory).catch(() => [])).length
  }

  /** Removes what processes that have ended left behind: files not written to since then. Gives how many. */
  async removeStale(beforeTs: number): Promise<number> {
    let removed = 0
    for (const name of await readdir(this.#directory).catch(() => [])) {
      const path = join(this.#directory, name)
      const stats = await stat(path).catch(() => undefined)
      if (stats === undefined || stats.mtimeMs >= beforeTs) continue
      await this.remove(path)
      removed++
    }
    return removed
  }
}

async function readInto(
  handle: FileHandle,
  stream: Readable,
  { maxBytes, tooLarge }: ReceiveOptions,
): Promise<{ length: number; sha256: string }> {
  const hash = createHash('sha256')
  let length = 0
  for await (const chunk of chunksOf(stream)) {
    length += chunk.length
    if (length > maxBytes) throw tooLarge()
    hash.update(chunk)
    await writeAll(handle, chunk)
  }
  return { length, sha256: hash.digest('hex') }
}

/** Leaves the stream alone when its reader stops before its end. */
async function* chunksOf(stream: Readable): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      yield Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk as Uint8Array)
    }
  } catch (error) {
    if (isCutOff(error)) throw new MatrixError('M_UNKNOWN', 'The file ended early', { status: 400 })
    throw error
  }
}

const CUT_OFF: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
])

function isCutOff(error: unknown): boolean {
  return CUT_OFF.has((error as NodeJS.ErrnoException).code ?? '')
}

async function writeAll(handle: FileHandle, chunk: Buffer): Promise<void> {
  let written = 0
  while (written < chunk.length) {
    const { bytesWritten } = await handle.write(chunk, written, chunk.length - written)
    written += bytesWritten
  }
}
