import type { Database } from '../../storage/database.js'
import type { RoomRemovalStore } from '../../storage/stores/room-removal.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Clock } from '../../util/clock.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import type { RoomId } from '../../protocol/ids.js'
import type { RoomHeads } from './room-heads.js'

interface Parts {
  readonly clock: Clock
  readonly store: RoomRemovalStore
  readonly heads: RoomHeads
  readonly locks: KeyedMutex
}

/** Events, people or other rows of one transaction. */
const BATCH = 500
/** Between two of them, for others to write. */
const PAUSE_MS = 20

/** Removes rooms from this server, which then has never heard of them. */
export class RoomRemoval {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Nobody finds the room any more, and nothing is written to it. Its rows are left to `clear`. */
  async hide(room: RoomRecord): Promise<void> {
    const { heads, locks, store } = this.#parts
    await locks.run(String(room.roomNid), async () => {
      await heads.whenCommitted(room)
      await this.#db.write('hide_room', (tx) => store.hide(tx, room))
      heads.close(room)
    })
  }

  /** Removes what a hidden room has left. May be repeated; ends early when the signal aborts. */
  async clear(room: { roomNid: number; roomId: RoomId }, signal: AbortSignal): Promise<void> {
    const { store } = this.#parts
    await this.#repeat(
      signal,
      async () =>
        (await this.#db.write('clear_room', (tx) => store.removeEvents(tx, room.roomNid, BATCH))) === BATCH,
    )
    await this.#repeat(
      signal,
      async () => (await this.#db.write('clear_room', (tx) => store.removePeople(tx, room, BATCH))) === BATCH,
    )
    await this.#repeat(signal, () =>
      this.#db.write('clear_room', (tx) => store.removeRest(tx, room.roomNid, BATCH)),
    )
  }

  async #repeat(signal: AbortSignal, step: () => Promise<boolean>): Promise<void> {
    while (!signal.aborted && (await step())) {
      await this.#parts.clock.sleep(PAUSE_MS, signal).catch(() => undefined)
    }
  }
}
