import type { ServerName, UserId } from '../../protocol/ids.js'
import { formatMxcUri } from '../../protocol/mxc-uri.js'
import type { Database } from '../../storage/database.js'
import type { MediaId } from '../../storage/stores/media.js'
import type { MediaAdministrationStore, MediaSelection } from '../../storage/stores/media-administration.js'
import type { MediaKeeper } from './media-keeper.js'

export interface MediaDeletionDependencies {
  readonly db: Database
  readonly administration: MediaAdministrationStore
  readonly keeper: MediaKeeper
}

/** So many files are looked up and deleted at a time. */
const BATCH = 500

/** Deletes files for good: of all stores, with their thumbnails. */
export class MediaDeletion {
  readonly #deps: MediaDeletionDependencies
  readonly #serverName: ServerName

  constructor(deps: MediaDeletionDependencies, options: { serverName: ServerName }) {
    this.#deps = deps
    this.#serverName = options.serverName
  }

  /** Files that are not there count as deleted. */
  delete(ids: readonly MediaId[]): Promise<void> {
    return this.#deps.keeper.delete(ids)
  }

  /** All that a user has uploaded. Gives the URIs. */
  async deleteOfUser(userId: UserId): Promise<string[]> {
    const { db, administration, keeper } = this.#deps
    const deleted: string[] = []
    const page = { from: 0, limit: BATCH, orderBy: 'mediaId', isDescending: false } as const
    for (;;) {
      const { files } = await administration.listOfUser(db.reader, userId, page)
      if (files.length === 0) return deleted
      await keeper.delete(files)
      deleted.push(...files.map(formatMxcUri))
    }
  }

  /** Files of this server that nobody has asked for since then, and that are larger than so many bytes. */
  deleteLocal(options: {
    accessedBefore: number
    largerThan?: number
    sparesProfiles?: boolean
    signal?: AbortSignal
  }): Promise<string[]> {
    const { signal, ...selection } = options
    return this.#deleteSelected({ origin: 'local', sparesMarked: true, ...selection }, signal)
  }

  /** Files kept of other servers that nobody has asked for since then: they are fetched again when somebody does. */
  deleteRemote(accessedBefore: number, signal?: AbortSignal): Promise<string[]> {
    return this.#deleteSelected({ origin: 'remote', sparesMarked: true, accessedBefore }, signal)
  }

  /** Pictures of previews that were fetched before a time. */
  async deletePreviewPictures(createdBefore: number, signal?: AbortSignal): Promise<void> {
    const { db, administration, keeper } = this.#deps
    while (signal?.aborted !== true) {
      const ids = await administration.selectPreviewPictures(db.reader, createdBefore, BATCH)
      if (ids.length === 0) return
      await keeper.delete(ids)
    }
  }

  async #deleteSelected(
    selection: Omit<MediaSelection, 'serverName'>,
    signal: AbortSignal | undefined,
  ): Promise<string[]> {
    const { db, administration, keeper } = this.#deps
    const deleted: string[] = []
    while (signal?.aborted !== true) {
      const ids = await administration.select(
        db.reader,
        { ...selection, serverName: this.#serverName },
        BATCH,
      )
      if (ids.length === 0) break
      await keeper.delete(ids)
      deleted.push(...ids.map(formatMxcUri))
    }
    return deleted
  }
}
