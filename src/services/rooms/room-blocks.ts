import { forbidden } from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { BlockedRoomsStore } from '../../storage/stores/blocked-rooms.js'
import type { LastingTasks } from '../tasks/lasting-tasks.js'

export interface RoomBlocksDependencies {
  readonly db: Database
  readonly store: BlockedRoomsStore
  readonly tasks: Pick<LastingTasks, 'list'>
}

/** Rooms that nobody of this server may enter, as administrators have decided. */
export class RoomBlocks {
  readonly #deps: RoomBlocksDependencies

  constructor(deps: RoomBlocksDependencies) {
    this.#deps = deps
  }

  /** Throws `M_FORBIDDEN` for blocked rooms, and for those that are being removed. */
  async check(roomId: RoomId): Promise<void> {
    const isBlocked = (await this.blockedBy(roomId)) !== undefined
    if (isBlocked || (await this.#isBeingRemoved(roomId))) {
      throw forbidden('This room has been blocked on this server')
    }
  }

  /** Who has blocked a room; undefined: nobody. */
  blockedBy(roomId: RoomId): Promise<UserId | undefined> {
    return this.#deps.store.get(this.#deps.db.reader, roomId)
  }

  /** Blocks a room, which this server need not know, or lets people enter it again. */
  async set(roomId: RoomId, isBlocked: boolean, by: UserId): Promise<void> {
    const { db, store } = this.#deps
    await db.write('block_room', (tx) =>
      isBlocked ? store.insert(tx, roomId, by) : store.delete(tx, roomId),
    )
  }

  async #isBeingRemoved(roomId: RoomId): Promise<boolean> {
    const action = SHUTDOWN_ACTION
    const tasks = await this.#deps.tasks.list({ action, resource: roomId, statuses: ['active'] })
    return tasks.length > 0
  }
}

/** The task that shuts rooms down. */
export const SHUTDOWN_ACTION = 'shutdown_and_purge_room'
