import type { Readable } from 'node:stream'
import type { Logger } from '../../telemetry/logger.js'
import type { ByteSource } from '../../util/byte-source.js'
import type { Clock } from '../../util/clock.js'
import { SingleFlight } from '../../util/single-flight.js'
import type { ByteRange, DirectoryStore, FileStore, LinkHeaders } from './file-store.js'
import type { IncomingFile, IncomingFiles } from './incoming-files.js'

/** A store beside the disk, and what it gets. */
export interface FileProvider {
  readonly store: FileStore
  readonly storesLocal: boolean
  readonly storesRemote: boolean
  /** A file counts as kept only when this store has it. */
  readonly isSynchronous: boolean
}

export interface MediaFilesDependencies {
  readonly disk: DirectoryStore
  readonly incoming: IncomingFiles
  readonly providers: readonly FileProvider[]
  /** False: the disk only passes on what the other stores keep. */
  readonly keepsLocal: boolean
  readonly clock: Pick<Clock, 'sleep'>
  readonly logger: Logger
}

/** A store that does not answer by then is of no use to whoever waits for a file that may be here. */
const LINK_MS = 3_000

/** From the disk, or from elsewhere. */
export type FileContent = ByteSource | Readable

/** Where a file came from: a user of this server, or another server. */
export type FileOrigin = 'local' | 'remote'

/** All stores as one: the disk in front, the others behind it. */
export class MediaFiles {
  readonly #deps: MediaFilesDependencies
  readonly #fetches = new SingleFlight<boolean>()
  readonly #copies = new Set<Promise<void>>()
  /** Who needs a file on the disk that belongs to another store, by key. */
  readonly #borrowed = new Map<string, number>()

  constructor(deps: MediaFilesDependencies) {
    this.#deps = deps
  }

  /** Keeps a file that has arrived; it is gone from where it was. Rejects when a synchronous store does not take it. */
  async keep(key: string, file: IncomingFile, origin: FileOrigin): Promise<void> {
    const { disk, incoming, keepsLocal } = this.#deps
    const providers = this.#providersOf(origin)
    try {
      for (const { store } of providers.filter(({ isSynchronous }) => isSynchronous)) {
        await store.put(key, file.path)
      }
      await disk.adopt(key, file.path)
    } catch (error) {
      await incoming.remove(file.path)
      throw error
    }
    const later = providers.filter(({ isSynchronous }) => !isSynchronous)
    if (later.length === 0 && (keepsLocal || providers.length === 0)) return
    const copy = this.#copy(key, later).finally(() => this.#copies.delete(copy))
    this.#copies.add(copy)
  }

  /** The content, or a part of it, which is to be closed or destroyed; undefined where no store has it. */
  async open(key: string, range?: ByteRange): Promise<FileContent | undefined> {
    const { disk, keepsLocal } = this.#deps
    const local = await disk.openSource(key, range)
    if (local !== undefined) return local
    if (keepsLocal && (await this.#fetch(key))) return disk.openSource(key, range)
    return this.#openElsewhere(key, range)
  }

  /** A link to the content in a store that gives some; undefined where none of those has it, or can be reached. */
  async link(key: string, headers: LinkHeaders): Promise<string | undefined> {
    const { providers, clock, logger } = this.#deps
    for (const { store } of providers) {
      if (store.link === undefined) continue
      const wait = new AbortController()
      try {
        const late = clock
          .sleep(LINK_MS, wait.signal)
          .then(() => Promise.reject(new Error('It takes too long')))
        const link = await Promise.race([store.link(key, headers), late])
        if (link !== undefined) return link
      } catch (err) {
        logger.warn({ err, key, store: store.name }, 'A file could not be linked to')
      } finally {
        wait.abort()
      }
    }
    return undefined
  }

  /**
   * Where the content lies on the disk, brought there if need be; undefined where no store has it. `release` is to be
   * called afterwards.
   */
  async pathOf(key: string): Promise<{ path: string; release: () => Promise<void> } | undefined> {
    const { disk } = this.#deps
    const path = disk.pathOf(key)
    const borrowers = this.#borrowed.get(key)
    const isHere = (await disk.stat(key)) !== undefined
    // What is on its way to another store goes by itself.
    if (isHere && borrowers === undefined) return { path, release: () => Promise.resolve() }
    if (this.#deps.keepsLocal) {
      return (await this.#fetch(key)) ? { path, release: () => Promise.resolve() } : undefined
    }
    this.#borrowed.set(key, (this.#borrowed.get(key) ?? 0) + 1)
    let isFetched = false
    try {
      isFetched = await this.#fetch(key)
    } finally {
      if (!isFetched) await this.#giveBack(key)
    }
    return isFetched ? { path, release: () => this.#giveBack(key) } : undefined
  }

  /** Deletes files from all stores. */
  async delete(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return
    await this.#deps.disk.delete(keys)
    for (const { store } of this.#deps.providers) await store.delete(keys)
  }

  /** Resolves when nothing is being copied any more. */
  async settle(): Promise<void> {
    while (this.#copies.size > 0) await Promise.all(this.#copies)
  }

  #providersOf(origin: FileOrigin): readonly FileProvider[] {
    return this.#deps.providers.filter(({ storesLocal, storesRemote }) =>
      origin === 'local' ? storesLocal : storesRemote,
    )
  }

  /** The last who needed a copy of another store's file takes it away. */
  async #giveBack(key: string): Promise<void> {
    const others = (this.#borrowed.get(key) ?? 1) - 1
    if (others > 0) {
      this.#borrowed.set(key, others)
      return
    }
    this.#borrowed.delete(key)
    await this.#deps.disk.delete([key])
  }

  /** What fails here is found by the check of all files, which does it again. */
  async #copy(key: string, providers: readonly FileProvider[]): Promise<void> {
    const { disk, keepsLocal, logger } = this.#deps
    try {
      for (const { store } of providers) await store.put(key, disk.pathOf(key))
      if (!keepsLocal) await disk.delete([key])
    } catch (err) {
      logger.error({ err, key }, 'A file could not be copied to another store')
    }
  }

  /** Brings a file to the disk; false where no store has it. */
  #fetch(key: string): Promise<boolean> {
    return this.#fetches.run(key, async () => {
      const { disk, incoming } = this.#deps
      if ((await disk.stat(key)) !== undefined) return true
      const stream = await this.#openElsewhere(key)
      if (stream === undefined) return false
      const file = await incoming.receive(stream, {
        maxBytes: Infinity,
        tooLarge: () => new Error('There is no limit'),
      })
      await disk.adopt(key, file.path)
      return true
    })
  }

  async #openElsewhere(key: string, range?: ByteRange): Promise<Readable | undefined> {
    for (const { store } of this.#deps.providers) {
      const stream = await store.open(key, range)
      if (stream !== undefined) return stream
    }
    return undefined
  }
}
