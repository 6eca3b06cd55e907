import { createReadStream } from 'node:fs'
import { copyFile, mkdir, open, opendir, rename, rm, rmdir, stat, type FileHandle } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import type { Readable } from 'node:stream'
import type { ByteSource } from '../../util/byte-source.js'
import { randomToken } from '../../util/random.js'

/** A part of a file, both ends included, in bytes from 0. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** A file as a store lists it. */
export interface StoredFile {
  readonly key: string
  /** In bytes. */
  readonly length: number
  readonly modifiedTs: number
}

/** What whoever follows a link is to be told of the file. */
export interface LinkHeaders {
  readonly contentType: string
  readonly contentDisposition: string
  readonly cacheControl: string
}

/** A place where files are kept, by keys of ours: relative paths with slashes. */
export interface FileStore {
  /** For messages to the operator. */
  readonly name: string
  /** Copies a local file to a key, in the place of what is there; nobody ever sees half of it. */
  put(key: string, path: string): Promise<void>
  /** The content, or a part of it; undefined where there is no such file. Rejects when the store cannot be reached. */
  open(key: string, range?: ByteRange): Promise<Readable | undefined>
  /** Undefined where there is no such file. */
  stat(key: string): Promise<StoredFile | undefined>
  /**
   * A link by which anybody gets the file for some time, from the store itself; undefined where there is no such file,
   * or where links are not wanted. Only of stores that can be reached so.
   */
  link?(key: string, headers: LinkHeaders): Promise<string | undefined>
  /** Files that are not there count as deleted. */
  delete(keys: readonly string[]): Promise<void>
  /** All files whose keys begin with a directory. */
  list(directory: string): AsyncIterable<StoredFile>
}

/** A directory of the machine. It is made when the first file comes. */
export class DirectoryStore implements FileStore {
  readonly name: string
  readonly #root: string

  constructor(root: string) {
    this.#root = resolve(root)
    this.name = this.#root
  }

  /** Where a file is, or would be. Throws for keys that would lead out of the directory. */
  pathOf(key: string): string {
    const path = resolve(this.#root, key)
    if (!path.startsWith(this.#root + sep)) throw new Error('The key leads out of the store')
    return path
  }

  async put(key: string, path: string): Promise<void> {
    const target = this.pathOf(key)
    await mkdir(dirname(target), { recursive: true })
    const unfinished = `${target}.${randomToken(8)}.part`
    try {
      await copyFile(path, unfinished)
      await rename(unfinished, target)
    } catch (error) {
      await rm(unfinished, { force: true })
      throw error
    }
  }

  /** As `put`, but the file is moved: it must lie in the same directory of the machine. */
  async adopt(key: string, path: string): Promise<void> {
    const target = this.pathOf(key)
    await mkdir(dirname(target), { recursive: true })
    await rename(path, target)
  }

  async open(key: string, range?: ByteRange): Promise<Readable | undefined> {
    const path = this.pathOf(key)
    const stream = createReadStream(path, range)
    return new Promise((fulfil, reject) => {
      stream.once('open', () => fulfil(stream))
      stream.once('error', (error) => {
        if (isMissing(error)) fulfil(undefined)
        else reject(error)
      })
    })
  }

  /** As `open`, for who sends it on: to be closed. */
  async openSource(key: string, range?: ByteRange): Promise<ByteSource | undefined> {
    const handle = await openToRead(this.pathOf(key))
    if (handle === undefined) return undefined
    try {
      const stats = await handle.stat()
      if (stats.isFile()) return new FileSource(handle, range ?? { start: 0, end: stats.size - 1 })
    } catch (error) {
      await handle.close()
      throw error
    }
    await handle.close()
    return undefined
  }

  async stat(key: string): Promise<StoredFile | undefined> {
    const stats = await statOf(this.pathOf(key))
    return stats?.isFile() === true ? { key, length: stats.size, modifiedTs: stats.mtimeMs } : undefined
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      const path = this.pathOf(key)
      await rm(path, { force: true })
      await this.#removeEmpty(dirname(path))
    }
  }

  async *list(directory: string): AsyncIterable<StoredFile> {
    const root = this.pathOf(directory)
    if (!(await statOf(root))?.isDirectory()) return
    const entries = await opendir(root, { recursive: true })
    for await (const entry of entries) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      const stats = await statOf(path)
      if (stats === undefined) continue
      const key = path.slice(this.#root.length + 1).replaceAll(sep, '/')
      yield { key, length: stats.size, modifiedTs: stats.mtimeMs }
    }
  }

  /** Upwards, as far as directories have nothing in them. */
  async #removeEmpty(directory: string): Promise<void> {
    let path = directory
    try {
      while (path.startsWith(this.#root + sep)) {
        await rmdir(path)
        path = dirname(path)
      }
    } catch {
      // Something is in it, or somebody else was quicker.
    }
  }
}

/** A file on the disk, or a part of it. */
class FileSource implements ByteSource {
  readonly length: number
  readonly #handle: FileHandle
  #position: number

  constructor(handle: FileHandle, { start, end }: ByteRange) {
    this.length = end - start + 1
    this.#handle = handle
    this.#position = start
  }

  async read(buffer: Buffer): Promise<number> {
    const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, this.#position)
    this.#position += bytesRead
    return bytesRead
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

async function openToRead(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

async function statOf(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}
