import type { RoomId, ServerName, UserId } from '../../protocol/ids.js'
import { formatMxcUri } from '../../protocol/mxc-uri.js'
import type { Database } from '../../storage/database.js'
import type { MediaId } from '../../storage/stores/media.js'
import type { MediaAdministrationStore, MediaAge } from '../../storage/stores/media-administration.js'
import type { MediaKeeper } from './media-keeper.js'
import type { MediaQuarantine } from './media-quarantine.js'
import type { MediaUses } from './media-uses.js'

export interface MediaDeletionDependencies {
  readonly db: Database
  readonly administration: MediaAdministrationStore
  readonly keeper: MediaKeeper
  readonly uses: MediaUses
  readonly rooms: Pick<MediaQuarantine, 'listOfRoom'>
}

/** Files by when they were last asked for, and by their size. */
export interface OldMedia {
  readonly origin: 'local' | 'remote'
  readonly accessedBefore: number
  /** In bytes. */
  readonly largerThan?: number | undefined
  /** Not pictures of people and rooms, and what else stays in sight: see `MediaUses.lasting`. */
  readonly sparesLasting: boolean
}

/** Which files are meant. `redacted`: those that redacted messages named; `erased`: those of erased users. */
export type MediaChoice =
  | { readonly kind: 'ids'; readonly ids: readonly MediaId[] }
  | { readonly kind: 'user'; readonly userId: UserId }
  | { readonly kind: 'room'; readonly roomId: RoomId }
  | { readonly kind: 'old'; readonly old: OldMedia }
  | { readonly kind: 'redacted' }
  | { readonly kind: 'erased' }

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

  /** The files that a choice means and that are here, each once. */
  async choose(choice: MediaChoice): Promise<MediaId[]> {
    const found = new Map<string, MediaId>()
    for await (const batch of this.#batches(choice)) {
      for (const id of batch) found.set(formatMxcUri(id), { serverName: id.serverName, mediaId: id.mediaId })
    }
    return this.#present([...found.values()])
  }

  /** Files that are not there count as deleted. */
  delete(ids: readonly MediaId[]): Promise<void> {
    return this.#deps.keeper.delete(ids)
  }

  /** All that a user has uploaded. Gives the URIs. */
  deleteOfUser(userId: UserId): Promise<string[]> {
    return this.#deleteAll(this.#ofUser(userId))
  }

  /** Files of this server that nobody has asked for since then, and that are larger than so many bytes. */
  deleteLocal({ signal, ...old }: Omit<OldMedia, 'origin'> & { signal?: AbortSignal }): Promise<string[]> {
    return this.#deleteAll(this.#old({ origin: 'local', ...old }, signal))
  }

  /** Files kept of other servers that nobody has asked for since then: they are fetched again when somebody does. */
  deleteRemote(accessedBefore: number, signal?: AbortSignal): Promise<string[]> {
    return this.#deleteAll(this.#old({ origin: 'remote', accessedBefore, sparesLasting: false }, signal))
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

  async #deleteAll(batches: AsyncIterable<readonly MediaId[]>): Promise<string[]> {
    const deleted: string[] = []
    for await (const batch of batches) {
      await this.#deps.keeper.delete(batch)
      deleted.push(...batch.map(formatMxcUri))
    }
    return deleted
  }

  async *#batches(choice: MediaChoice): AsyncGenerator<readonly MediaId[]> {
    const { uses, rooms } = this.#deps
    if (choice.kind === 'ids') yield choice.ids
    else if (choice.kind === 'user') yield* this.#ofUser(choice.userId)
    else if (choice.kind === 'room') yield await rooms.listOfRoom(choice.roomId)
    else if (choice.kind === 'old') yield* this.#old(choice.old)
    else if (choice.kind === 'redacted') yield await uses.leftByRedactions()
    else yield* this.#ofErased()
  }

  /** What erased users have uploaded, but for what others see all the time: the picture of a room that goes on. */
  async *#ofErased(): AsyncGenerator<readonly MediaId[]> {
    const { uses } = this.#deps
    const users = await uses.erasedUsers()
    const lasting = users.length > 0 ? await uses.lasting() : new Set<string>()
    for (const userId of users) {
      for await (const batch of this.#ofUser(userId)) {
        yield batch.filter((id) => !lasting.has(formatMxcUri(id)))
      }
    }
  }

  async *#ofUser(userId: UserId): AsyncGenerator<readonly MediaId[]> {
    const { db, administration } = this.#deps
    let after = ''
    for (;;) {
      const ids = await administration.idsOfUser(db.reader, userId, { after, limit: BATCH })
      if (ids.length === 0) return
      yield ids
      after = ids.at(-1)!.mediaId
    }
  }

  async *#old({ sparesLasting, ...old }: OldMedia, signal?: AbortSignal): AsyncGenerator<readonly MediaId[]> {
    const { db, administration, uses } = this.#deps
    const selection = { sparesMarked: true, serverName: this.#serverName, ...old }
    let lasting: Set<string> | undefined
    let after: MediaAge | undefined
    while (signal?.aborted !== true) {
      const ids = await administration.select(db.reader, selection, { after, limit: BATCH })
      if (ids.length === 0) return
      // Looked up where there is something to spare, and once.
      if (sparesLasting) lasting ??= await uses.lasting(signal)
      yield ids.filter((id) => lasting?.has(formatMxcUri(id)) !== true)
      after = ids.at(-1)
    }
  }

  async #present(ids: readonly MediaId[]): Promise<MediaId[]> {
    const { db, administration } = this.#deps
    const present: MediaId[] = []
    for (let start = 0; start < ids.length; start += BATCH) {
      present.push(...(await administration.present(db.reader, ids.slice(start, start + BATCH))))
    }
    return present
  }
}
