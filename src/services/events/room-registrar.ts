import type { Tx } from '../../storage/database.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'

/** Gives new rooms their nids and rows. */
export class RoomRegistrar {
  readonly #rooms: RoomsStore
  readonly #ids: IdAllocator

  constructor(rooms: RoomsStore, ids: IdAllocator) {
    this.#rooms = rooms
    this.#ids = ids
  }

  async prepare(room: Omit<RoomRecord, 'roomNid'>): Promise<RoomRecord> {
    return { ...room, roomNid: await this.#ids.next() }
  }

  async insert(tx: Tx, room: RoomRecord, options: { isPublic: boolean; createdTs: number }): Promise<void> {
    await this.#rooms.insert(tx, room, options)
  }
}
