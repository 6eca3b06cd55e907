import type { Database, Tx } from '../../storage/database.js'
import type { MediaId, MediaStore } from '../../storage/stores/media.js'
import type { MediaThumbnailsStore, ThumbnailRecord } from '../../storage/stores/media-thumbnails.js'
import { KeyedMutex } from '../../util/keyed-mutex.js'
import { contentKey } from './file-keys.js'
import type { IncomingFile, IncomingFiles } from './incoming-files.js'
import type { FileOrigin, MediaFiles } from './media-files.js'

export interface MediaKeeperDependencies {
  readonly db: Database
  readonly media: MediaStore
  readonly thumbnails: MediaThumbnailsStore
  readonly files: MediaFiles
  readonly incoming: IncomingFiles
}

/** How many rows go in one transaction. */
const DELETE_BATCH = 500

/**
 * Keeps rows and files together. A file is there before a row refers to it, and goes after the last row that did: when
 * the process is killed in between, files may be left without a row, never a row without its file.
 */
export class MediaKeeper {
  readonly #deps: MediaKeeperDependencies
  /** By file: nobody deletes what somebody is about to refer to. */
  readonly #locks = new KeyedMutex()

  constructor(deps: MediaKeeperDependencies) {
    this.#deps = deps
  }

  /**
   * Keeps a file that has arrived, once for all rows with the same content, and runs `write`, which refers to it.
   * Rejects with the error of `write`; then the file is not kept, and it is gone from where it was in any case.
   */
  async keep<T>(
    file: IncomingFile,
    origin: FileOrigin,
    write: (tx: Tx, fileKey: string) => Promise<T>,
  ): Promise<T> {
    const fileKey = contentKey(file.sha256)
    return this.#locks.run(fileKey, async () => {
      await this.#deps.files.keep(fileKey, file, origin)
      try {
        return await this.#deps.db.write('keep_media', (tx) => write(tx, fileKey))
      } catch (error) {
        await this.#deleteIfUnused(fileKey)
        throw error
      }
    })
  }

  /** Keeps a thumbnail of a file, if the file is still there; false, and nothing kept, where it is not. */
  async keepThumbnail(
    fileKey: string,
    { file, record, origin }: { file: IncomingFile; record: ThumbnailRecord; origin: FileOrigin },
  ): Promise<boolean> {
    const { db, media, thumbnails, files, incoming } = this.#deps
    return this.#locks.run(fileKey, async () => {
      if (!(await media.isFileUsed(db.reader, fileKey))) {
        await incoming.remove(file.path)
        return false
      }
      await files.keep(record.thumbnailKey, file, origin)
      await db.write('keep_thumbnail', (tx) => thumbnails.put(tx, fileKey, [record]))
      return true
    })
  }

  /** Deletes rows, and the files that nothing refers to any more with their thumbnails. */
  async delete(ids: readonly MediaId[]): Promise<void> {
    const { db, media } = this.#deps
    for (let start = 0; start < ids.length; start += DELETE_BATCH) {
      const batch = ids.slice(start, start + DELETE_BATCH)
      const fileKeys = await db.write('delete_media', (tx) => media.delete(tx, batch))
      for (const fileKey of fileKeys) await this.#locks.run(fileKey, () => this.#deleteIfUnused(fileKey))
    }
  }

  /** Whether a row refers to a file, or to a thumbnail. */
  async isUsed(key: string): Promise<boolean> {
    const { db, media, thumbnails } = this.#deps
    return (await media.isFileUsed(db.reader, key)) || (await thumbnails.usedKeys(db.reader, [key])).size > 0
  }

  async #deleteIfUnused(fileKey: string): Promise<boolean> {
    const { db, media, thumbnails, files } = this.#deps
    if (await media.isFileUsed(db.reader, fileKey)) return false
    const thumbnailKeys = await db.write('delete_thumbnails', (tx) => thumbnails.deleteOf(tx, [fileKey]))
    await files.delete([...thumbnailKeys, fileKey])
    return true
  }
}
