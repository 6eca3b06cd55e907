import type { Database } from '../../storage/database.js'
import type { MediaStore } from '../../storage/stores/media.js'
import type { MediaAdministrationStore } from '../../storage/stores/media-administration.js'
import type { MediaThumbnailsStore } from '../../storage/stores/media-thumbnails.js'
import type { Clock } from '../../util/clock.js'
import { CONTENT_DIRECTORY, THUMBNAILS_DIRECTORY } from './file-keys.js'
import type { FileStore, StoredFile } from './file-store.js'
import type { IncomingFiles } from './incoming-files.js'
import type { FileProvider, MediaFiles } from './media-files.js'
import type { MediaKeeper } from './media-keeper.js'

export interface MediaCheckDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly media: MediaStore
  readonly thumbnails: MediaThumbnailsStore
  readonly administration: MediaAdministrationStore
  readonly disk: FileStore
  readonly providers: readonly FileProvider[]
  readonly files: MediaFiles
  readonly incoming: IncomingFiles
  readonly keeper: MediaKeeper
}

/** What does not fit together. */
export interface MediaCheckReport {
  /** Files that are as they should be. */
  readonly files: number
  /** Places in the stores that rows refer to and that no store has: their content is lost. */
  readonly lost: readonly string[]
  /** Files that nothing refers to, with the store that has them: left by processes that were killed. */
  readonly orphans: readonly { readonly store: string; readonly key: string; readonly length: number }[]
  /** Files that a store should have and has not, while another has them. */
  readonly uncopied: readonly { readonly store: string; readonly key: string }[]
  /** Uploads that never came to their end. */
  readonly unfinished: number
}

/** Files that are younger may be on their way to their rows. */
const GRACE_MS = 60 * 60_000
const UNFINISHED_MS = 24 * 60 * 60_000
const BATCH = 500

/** Holds rows and files against each other. The server may run meanwhile. */
export class MediaCheck {
  readonly #deps: MediaCheckDependencies

  constructor(deps: MediaCheckDependencies) {
    this.#deps = deps
  }

  /**
   * `fix`: deletes what nothing refers to, and rows whose content is lost; copies files to the stores that should have
   * them. Without it, nothing is changed.
   */
  async run(options: { fix: boolean; graceMs?: number }): Promise<MediaCheckReport> {
    const { fix, graceMs = GRACE_MS } = options
    const { clock, incoming } = this.#deps
    const rows = await this.#checkRows(fix)
    const orphans = await this.#checkFiles(fix, clock.now() - graceMs)
    const unfinished = fix
      ? await incoming.removeStale(clock.now() - Math.min(graceMs, UNFINISHED_MS))
      : await incoming.count()
    return { ...rows, orphans, unfinished }
  }

  async #checkRows(fix: boolean): Promise<Pick<MediaCheckReport, 'files' | 'lost' | 'uncopied'>> {
    const { db, administration } = this.#deps
    const lost: string[] = []
    const uncopied: { store: string; key: string }[] = []
    let files = 0
    let after = ''
    for (;;) {
      const page = await administration.listFiles(db.reader, after, BATCH)
      for (const { fileKey, isLocal } of page) {
        const missing = await this.#whereMissing(fileKey, isLocal)
        if (missing === 'everywhere') lost.push(fileKey)
        else files++
        if (missing === 'everywhere') continue
        for (const { store } of missing) {
          uncopied.push({ store: store.name, key: fileKey })
          if (fix) await this.#copyTo(store, fileKey)
        }
      }
      const last = page.at(-1)
      if (last === undefined) break
      after = last.fileKey
    }
    if (fix && lost.length > 0) await this.#forget(lost)
    return { files, lost, uncopied }
  }

  /** The stores that should have a file and have not; `everywhere` when no store has it. */
  async #whereMissing(fileKey: string, isLocal: boolean): Promise<readonly FileProvider[] | 'everywhere'> {
    const { disk, providers } = this.#deps
    const stats = await Promise.all(providers.map(({ store }) => store.stat(fileKey)))
    const has = stats.map((found) => found !== undefined)
    if (!has.includes(true) && (await disk.stat(fileKey)) === undefined) return 'everywhere'
    return providers.filter(
      ({ storesLocal, storesRemote }, index) =>
        (isLocal ? storesLocal : storesRemote) && has[index] === false,
    )
  }

  async #copyTo(store: FileStore, fileKey: string): Promise<void> {
    const source = await this.#deps.files.pathOf(fileKey)
    if (source === undefined) return
    try {
      await store.put(fileKey, source.path)
    } finally {
      await source.release()
    }
  }

  async #forget(fileKeys: readonly string[]): Promise<void> {
    const { db, administration, thumbnails } = this.#deps
    for (let start = 0; start < fileKeys.length; start += BATCH) {
      const batch = fileKeys.slice(start, start + BATCH)
      await db.write('forget_lost_media', async (tx) => {
        await administration.deleteOfFiles(tx, batch)
        // Their pictures go with the check of the files.
        await thumbnails.deleteOf(tx, batch)
      })
    }
  }

  async #checkFiles(fix: boolean, olderThan: number): Promise<MediaCheckReport['orphans']> {
    const { disk, providers } = this.#deps
    const orphans: { store: string; key: string; length: number }[] = []
    for (const store of [disk, ...providers.map((provider) => provider.store)]) {
      for (const directory of [CONTENT_DIRECTORY, THUMBNAILS_DIRECTORY]) {
        let batch: StoredFile[] = []
        const look = async (): Promise<void> => {
          for (const file of await this.#orphansOf(batch, directory)) {
            orphans.push({ store: store.name, key: file.key, length: file.length })
            if (fix) await this.#deleteOrphan(store, file, olderThan)
          }
          batch = []
        }
        for await (const file of store.list(directory)) {
          if (file.modifiedTs < olderThan) batch.push(file)
          if (batch.length >= BATCH) await look()
        }
        await look()
      }
    }
    return orphans
  }

  async #orphansOf(files: readonly StoredFile[], directory: string): Promise<StoredFile[]> {
    const { db, media, thumbnails } = this.#deps
    const keys = files.map(({ key }) => key)
    const used =
      directory === CONTENT_DIRECTORY
        ? await media.usedFiles(db.reader, keys)
        : await thumbnails.usedKeys(db.reader, keys)
    return files.filter(({ key }) => !used.has(key))
  }

  /** Looks again: somebody may have uploaded the same content in the meantime, also to a server beside this process. */
  async #deleteOrphan(store: FileStore, { key }: StoredFile, olderThan: number): Promise<void> {
    const file = await store.stat(key)
    if (file === undefined || file.modifiedTs >= olderThan) return
    if (await this.#deps.keeper.isUsed(key)) return
    await store.delete([key])
  }
}
