import { selectsRoom, type EventFilter } from '../../protocol/event-filter.js'
import { parseRoomId, type RoomId, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import { isJsonObject } from '../../util/json.js'

export interface SearchedRoomsDependencies {
  readonly db: Database
  readonly members: RoomMembersStore
  readonly rooms: RoomsStore
  readonly currentState: CurrentStateStore
  readonly events: EventsStore
}

/** How often a room may have been upgraded for its first version to be searched too. */
const MAX_UPGRADES = 20

/**
 * In which rooms somebody searches: those they are in, and those they have left and not forgotten, unless they are
 * encrypted. https://spec.matrix.org/latest/client-server-api/#room_events
 */
export class SearchedRooms {
  readonly #deps: SearchedRoomsDependencies

  constructor(deps: SearchedRoomsDependencies) {
    this.#deps = deps
  }

  /** Rooms that a filter names stand for the rooms that they replace, too. */
  async list(userId: UserId, filter: EventFilter): Promise<RoomRecord[]> {
    const { db, members, rooms } = this.#deps
    const memberships = await members.listForUser(db.reader, userId, ['join', 'leave', 'ban'])
    const known = memberships.filter(({ forgotten }) => !forgotten).map(({ roomNid }) => roomNid)
    const readable = await this.#withoutEncrypted(known)
    const records = [...(await rooms.getByNids(db.reader, readable)).values()]
    if (filter.rooms === undefined) return records.filter(({ roomId }) => selectsRoom(filter, roomId))
    const chosen = records.filter(({ roomId }) => filter.rooms?.has(roomId))
    const predecessors = await this.#predecessorsOf(chosen)
    return records.filter(
      ({ roomId }) =>
        !filter.notRooms.has(roomId) && (filter.rooms?.has(roomId) === true || predecessors.has(roomId)),
    )
  }

  async #withoutEncrypted(roomNids: readonly number[]): Promise<number[]> {
    const { db, currentState } = this.#deps
    const entries = await currentState.getForRooms(db.reader, roomNids, [['m.room.encryption', '']])
    const encrypted = new Set(entries.map(({ roomNid }) => roomNid))
    return roomNids.filter((roomNid) => !encrypted.has(roomNid))
  }

  async #predecessorsOf(chosen: readonly RoomRecord[]): Promise<Set<RoomId>> {
    const { db, rooms } = this.#deps
    const found = new Set<RoomId>()
    let current = chosen
    for (let step = 0; step < MAX_UPGRADES && current.length > 0; step++) {
      const direct = await this.#directPredecessors(current)
      const fresh = direct.filter((roomId) => !found.has(roomId))
      for (const roomId of fresh) found.add(roomId)
      current = [...(await rooms.getByIds(db.reader, fresh)).values()]
    }
    return found
  }

  async #directPredecessors(rooms: readonly RoomRecord[]): Promise<RoomId[]> {
    const { db, currentState, events } = this.#deps
    const nids = rooms.map(({ roomNid }) => roomNid)
    const entries = await currentState.getForRooms(db.reader, nids, [['m.room.create', '']])
    const creations = await events.getByNids(
      db.reader,
      entries.map(({ eventNid }) => eventNid),
    )
    return [...creations.values()].flatMap(({ event }) => {
      const predecessor = event.content['predecessor']
      const roomId = isJsonObject(predecessor) ? predecessor['room_id'] : undefined
      return (typeof roomId === 'string' ? parseRoomId(roomId) : undefined) ?? []
    })
  }
}
