import type { Database } from '../../storage/database.js'
import type { ForgottenRoomsStore, RoomMemory } from '../../storage/stores/forgotten-rooms.js'
import type { Clock } from '../../util/clock.js'
import type { RoomShutdowns } from './room-shutdowns.js'

export interface ForgottenRoomsDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly store: ForgottenRoomsStore
  readonly shutdowns: Pick<RoomShutdowns, 'removeForgotten'>
  /** `forgotten_room_retention_period`: how long a room stays after the last of ours has forgotten it. */
  readonly retentionMs: number
  /** Called with why a room could not be removed; the next run tries again. */
  readonly onError: (error: unknown) => void
}

const ROOMS_AT_A_TIME = 200
/** Rooms of one run: each is a task that is written down. The next run goes on. */
const MAX_REMOVED = 100

/** Removes rooms that everybody of this server who was ever in them has left and forgotten. */
export class ForgottenRooms {
  readonly #deps: ForgottenRoomsDependencies

  constructor(deps: ForgottenRoomsDependencies) {
    this.#deps = deps
  }

  /**
   * Looks at all rooms: notes which have been forgotten since the last run, and removes those that have been for long
   * enough, a number of them at a time. Ends early when the signal aborts.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { db, clock, store, shutdowns, retentionMs, onError } = this.#deps
    let left = MAX_REMOVED
    for (let after = 0; !signal.aborted;) {
      const rooms = await store.list(db.reader, { after, limit: ROOMS_AT_A_TIME })
      const last = rooms.at(-1)
      if (last === undefined) return
      const now = clock.now()
      await this.#note(rooms, now)
      const isDue = ({ isForgotten, forgottenTs = now }: RoomMemory): boolean =>
        isForgotten && forgottenTs <= now - retentionMs
      const due = rooms.filter(isDue).slice(0, left)
      for (const { roomId } of due) await shutdowns.removeForgotten(roomId).catch(onError)
      left -= due.length
      after = last.roomNid
    }
  }

  async #note(rooms: readonly RoomMemory[], now: number): Promise<void> {
    const { db, store } = this.#deps
    const changed = rooms.filter(
      ({ isForgotten, forgottenTs }) => isForgotten !== (forgottenTs !== undefined),
    )
    if (changed.length === 0) return
    const nidsOf = (isForgotten: boolean): number[] =>
      changed.filter((room) => room.isForgotten === isForgotten).map(({ roomNid }) => roomNid)
    await db.write('note_forgotten_rooms', async (tx) => {
      await store.setForgotten(tx, nidsOf(true), now)
      await store.setForgotten(tx, nidsOf(false), undefined)
    })
  }
}
