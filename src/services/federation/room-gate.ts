import { forbidden, notFound } from '../../protocol/errors.js'
import type { EventId, RoomId, ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { ServerMembersStore } from '../../storage/stores/server-members.js'
import type { ServerAcls } from './server-acls.js'

interface Parts {
  readonly rooms: RoomsStore
  readonly events: EventsStore
  readonly serverMembers: ServerMembersStore
  readonly acls: ServerAcls
}

/** Which servers may ask about which rooms: those that are in them and that the rooms do not shut out. */
export class RoomGate {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** The room, for a server that may ask about it. 404 `M_NOT_FOUND` for unknown rooms, else 403 `M_FORBIDDEN`. */
  async requireRoom(server: ServerName, roomId: RoomId): Promise<RoomRecord> {
    const room = await this.#parts.rooms.get(this.#db.reader, roomId)
    if (!room) throw notFound('Unknown room')
    await this.require(server, room)
    return room
  }

  /** 403 `M_FORBIDDEN` for a server that may not ask about the room. */
  async require(server: ServerName, room: RoomRecord): Promise<void> {
    await this.#parts.acls.require(room.roomId, server)
    if (await this.#parts.serverMembers.isInRoom(this.#db.reader, room.roomNid, server)) return
    throw forbidden('Host not in room.')
  }

  /**
   * An event of the room that has a place in it, and the room. 404 `M_NOT_FOUND` when there is none, and for events that
   * were rejected.
   */
  async requireEvent(
    server: ServerName,
    roomId: RoomId,
    eventId: EventId,
  ): Promise<{ room: RoomRecord; stored: StoredEvent }> {
    const room = await this.requireRoom(server, roomId)
    const stored = await this.#parts.events.get(this.#db.reader, eventId)
    if (stored?.roomNid !== room.roomNid || stored.rejected !== null) throw notFound('Event not found')
    return { room, stored }
  }
}
