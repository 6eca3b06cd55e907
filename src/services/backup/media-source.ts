import type { Readable } from 'node:stream'
import type { Database } from '../../storage/database.js'
import type { MediaAdministrationStore } from '../../storage/stores/media-administration.js'
import type { FileStore } from '../media/file-store.js'
import type { MediaScope } from './archive-format.js'

export interface MediaSourceDependencies {
  readonly db: Database
  readonly administration: Pick<MediaAdministrationStore, 'listFiles' | 'storedUse'>
  /** In the order in which they are asked. */
  readonly stores: readonly FileStore[]
}

/** A file whose row is there. */
export interface ListedFile {
  readonly key: string
  readonly isLocal: boolean
}

const PAGE = 500

/** The files that rows refer to, wherever they lie. */
export class MediaSource {
  readonly #deps: MediaSourceDependencies

  constructor(deps: MediaSourceDependencies) {
    this.#deps = deps
  }

  /** By their keys. Equal files are one. */
  async *list(scope: MediaScope): AsyncGenerator<ListedFile> {
    const { db, administration } = this.#deps
    let after = ''
    while (scope !== 'none') {
      const page = await administration.listFiles(db.reader, after, PAGE)
      for (const { fileKey, isLocal } of page) {
        if (isLocal || scope === 'all') yield { key: fileKey, isLocal }
      }
      if (page.length < PAGE) return
      after = page.at(-1)!.fileKey
    }
  }

  /** How much all files are, in bytes. */
  async total(): Promise<number> {
    return (await this.#deps.administration.storedUse(this.#deps.db.reader)).bytes
  }

  /** Undefined where no store has it. */
  async sizeOf(key: string): Promise<number | undefined> {
    for (const store of this.#deps.stores) {
      const found = await store.stat(key)
      if (found !== undefined) return found.length
    }
    return undefined
  }

  /** The content and its size in bytes; undefined where no store has it. */
  async open(key: string): Promise<{ size: number; stream: Readable } | undefined> {
    for (const store of this.#deps.stores) {
      const found = await store.stat(key)
      const stream = found && (await store.open(key))
      if (stream !== undefined) return { size: found!.length, stream }
    }
    return undefined
  }
}
