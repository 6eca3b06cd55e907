import type { Database } from '../../storage/database.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { RoomId } from '../../protocol/ids.js'
import type { Clock } from '../../util/clock.js'
import { SingleFlight } from '../../util/single-flight.js'
import type { RoomRegistrar } from './room-registrar.js'

interface Parts {
  readonly rooms: RoomsStore
  readonly registrar: RoomRegistrar
  readonly clock: Clock
}

/** Rooms that this server hears of before it is in them. */
export class RemoteRooms {
  readonly #db: Database
  readonly #parts: Parts
  readonly #flights = new SingleFlight<RoomRecord>()

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** The room's record; a new one where it is not known. What is known already stays as it is. */
  async ensure(facts: Omit<RoomRecord, 'roomNid'>): Promise<RoomRecord> {
    const known = await this.#parts.rooms.get(this.#db.reader, facts.roomId)
    return known ?? this.#flights.run(facts.roomId, () => this.#insert(facts))
  }

  /** Corrects what was believed of a room before this server was in it. The caller holds the room's lock. */
  async correct(room: RoomRecord, facts: Omit<RoomRecord, 'roomNid' | 'roomId'>): Promise<RoomRecord> {
    const { rules, creator, roomType } = facts
    if (room.rules === rules && room.creator === creator && room.roomType === roomType) return room
    const corrected = { ...room, rules, creator, roomType }
    await this.#db.write('correct_room', (tx) => this.#parts.rooms.correct(tx, corrected))
    return corrected
  }

  async #insert(facts: Omit<RoomRecord, 'roomNid'>): Promise<RoomRecord> {
    const known = await this.#find(facts.roomId)
    if (known) return known
    const room = await this.#parts.registrar.prepare(facts)
    await this.#db.write('insert_remote_room', (tx) =>
      this.#parts.registrar.insert(tx, room, { isPublic: false, createdTs: this.#parts.clock.now() }),
    )
    return room
  }

  #find(roomId: RoomId): Promise<RoomRecord | undefined> {
    return this.#parts.rooms.get(this.#db.reader, roomId)
  }
}
