import { once } from 'node:events'
import { createWriteStream, existsSync, type WriteStream } from 'node:fs'
import { link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { randomToken } from '../util/random.js'
import { CommandFailure } from './failures.js'

/**
 * A file that has its name only when it is whole, and never takes the place of another: whatever ends the process, what
 * has the name can be relied on.
 */
export class UnfinishedFile {
  readonly path: string
  readonly stream: WriteStream
  readonly #unfinished: string

  private constructor(path: string, { unfinished, stream }: { unfinished: string; stream: WriteStream }) {
    this.path = path
    this.#unfinished = unfinished
    this.stream = stream
  }

  /**
   * Only its owner can read it. Rejects with a `CommandFailure` when there is a file with this name, or none can be made.
   */
  static async create(path: string): Promise<UnfinishedFile> {
    if (existsSync(path)) throw new CommandFailure(`${path} exists already and has been left as it is`)
    const unfinished = `${path}.${randomToken(8)}.part`
    // Written through to the disk before it is closed.
    const stream = createWriteStream(unfinished, { flags: 'wx', mode: 0o600, flush: true })
    try {
      await once(stream, 'open')
    } catch (error) {
      throw new CommandFailure(`Cannot write ${path}: ${(error as Error).message}`, { cause: error })
    }
    // Whoever writes hears of it when they write.
    stream.on('error', () => undefined)
    return new UnfinishedFile(path, { unfinished, stream })
  }

  /**
   * To be called when the stream has been ended; resolves when the file is on the disk. Rejects with a `CommandFailure`
   * when the name has been taken.
   */
  async finish(): Promise<void> {
    if (!this.stream.closed) await once(this.stream, 'close')
    try {
      await link(this.#unfinished, this.path)
      await rm(this.#unfinished)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EEXIST') throw new CommandFailure(`${this.path} exists by now and has been left as it is`)
      // Not every file system lets a file have two names.
      await rename(this.#unfinished, this.path)
    }
    const directory = await open(dirname(this.path), 'r')
    await directory.sync().finally(() => directory.close())
  }

  /** Leaves nothing. */
  async discard(): Promise<void> {
    this.stream.destroy()
    await rm(this.#unfinished, { force: true })
  }
}
