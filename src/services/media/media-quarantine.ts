import { notFound } from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { MediaId, MediaRecord } from '../../storage/stores/media.js'
import type { MediaAdministrationStore } from '../../storage/stores/media-administration.js'
import { filesOf } from './media-uses.js'

export interface MediaQuarantineDependencies {
  readonly db: Database
  readonly administration: MediaAdministrationStore
}

const BATCH = 1000

/**
 * Puts files out of everybody's reach. They are known by their content: what is uploaded or fetched later and is equal
 * to something in quarantine is so too.
 */
export class MediaQuarantine {
  readonly #deps: MediaQuarantineDependencies

  constructor(deps: MediaQuarantineDependencies) {
    this.#deps = deps
  }

  /** What is known of a file. Throws `M_NOT_FOUND`. */
  async show(id: MediaId): Promise<MediaRecord> {
    const { db, administration } = this.#deps
    const file = await administration.get(db.reader, id)
    if (file === undefined) throw notFound('Unknown media')
    return file
  }

  /** Gives how many files have changed: these, and all with the same content. `by`: a user ID, or what did it. */
  quarantine(ids: readonly MediaId[], by: string): Promise<number> {
    const { db, administration } = this.#deps
    return db.write('quarantine_media', (tx) => administration.setQuarantine(tx, ids, by))
  }

  /** Gives how many files have changed: these, and all with the same content. */
  release(ids: readonly MediaId[]): Promise<number> {
    const { db, administration } = this.#deps
    return db.write('release_media', (tx) => administration.setQuarantine(tx, ids, undefined))
  }

  /** All that a user has uploaded. */
  quarantineUser(userId: UserId, by: UserId): Promise<number> {
    const { db, administration } = this.#deps
    return db.write('quarantine_media_of_user', (tx) => administration.quarantineUser(tx, userId, by))
  }

  /** All that was sent in a room without encryption. */
  async quarantineRoom(roomId: RoomId, by: UserId): Promise<number> {
    return this.quarantine(await this.listOfRoom(roomId), by)
  }

  /** Says that a file is never quarantined, or that it may be. Throws `M_NOT_FOUND`. */
  async setProtected(id: MediaId, isProtected: boolean): Promise<void> {
    const { db, administration } = this.#deps
    const exists = await db.write('protect_media', (tx) => administration.setProtected(tx, id, isProtected))
    if (!exists) throw notFound('There is no such media')
  }

  /** The files that were sent in a room without encryption, each once. */
  async listOfRoom(roomId: RoomId): Promise<MediaId[]> {
    const { db, administration } = this.#deps
    const found = new Map<string, MediaId>()
    let after = Number.MIN_SAFE_INTEGER
    for (;;) {
      const page = await administration.listContents(db.reader, roomId, { after, limit: BATCH })
      for (const { json } of page) for (const [uri, id] of filesOf(json)) found.set(uri, id)
      const last = page.at(-1)
      if (last === undefined) return [...found.values()]
      after = last.eventNid
    }
  }
}
