import type { Database, Query } from '../../../storage/database.js'
import type { EventsStore } from '../../../storage/stores/events.js'
import type { Membership } from '../../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../../storage/stores/rooms.js'
import type { OwnMembership, SlidingSyncRoomsStore } from '../../../storage/stores/sliding-sync-rooms.js'
import type { RoomId, UserId } from '../../../protocol/ids.js'
import type { HiddenInviters } from '../hidden-inviters.js'
import type { UserRoomsCache } from '../user-rooms.js'
import { positionOf, type RoomMemory } from './connection.js'
import type { RoomActivity } from './room-activity.js'

/** A room that a user may be told of. */
export interface VisibleRoom {
  readonly room: RoomRecord
  readonly membership: Membership
  /** Of the membership. */
  readonly eventNid: number
  readonly streamOrdering: number
  /** Where something last happened that concerns the user: what lists are sorted by. */
  readonly activity: number
}

export interface VisibleRoomsRequest {
  readonly userId: UserId
  /** The position of the events stream that is shown. */
  readonly upTo: number
  /** The position that the connection is at; undefined: it begins. */
  readonly since: number | undefined
  readonly told: ReadonlyMap<number, RoomMemory>
  readonly subscriptions: Iterable<RoomId>
}

export interface VisibleRoomsOfUser {
  /** What lists choose from, by nid. */
  readonly listed: ReadonlyMap<number, VisibleRoom>
  /** The rooms that are subscribed to, by nid; those that the user may not see are left out. */
  readonly subscribed: ReadonlyMap<number, VisibleRoom>
}

interface Parts {
  readonly userRooms: UserRoomsCache
  readonly store: SlidingSyncRoomsStore
  readonly rooms: RoomsStore
  readonly events: EventsStore
  readonly activity: RoomActivity
  readonly hiddenInviters: HiddenInviters
  /** Rooms that are shown to nobody. */
  readonly excludedRooms: ReadonlySet<RoomId>
}

type Member = Omit<VisibleRoom, 'room' | 'activity'>

/**
 * The rooms of a user as sliding sync has them: joined, invited to, knocked at, thrown out of, and those that they have
 * left but that the connection has not been told of having been left.
 * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md#lists
 */
export class VisibleRooms {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  async load(request: VisibleRoomsRequest): Promise<VisibleRoomsOfUser> {
    const { userId, upTo } = request
    const q = this.#db.reader
    const present = await this.#present(q, request)
    const members = new Map<number, Member>(present)
    for (const member of await this.#parts.store.listThrownOut(q, userId)) {
      if (!members.has(member.roomNid) && member.streamOrdering <= upTo)
        members.set(member.roomNid, toMember(member))
    }
    const untold = [...request.told.keys()].filter((roomNid) => !members.has(roomNid))
    for (const member of await this.#parts.store.listMemberships(q, userId, untold)) {
      if (isUntoldLeave(member, request)) members.set(member.roomNid, toMember(member))
    }
    const subscriptions = await this.#subscriptions(q, request, members)
    const rooms = await this.#toRooms(q, new Map([...members, ...subscriptions]), upTo)
    return { listed: select(rooms, members), subscribed: select(rooms, subscriptions) }
  }

  async #present(q: Query, { userId, upTo }: VisibleRoomsRequest): Promise<Map<number, Member>> {
    const { rooms } = await this.#parts.userRooms.at(userId, upTo)
    const present = new Map<number, Member>(rooms)
    const invites = [...rooms.values()].filter(({ membership }) => membership === 'invite')
    if (invites.length === 0) return present
    const hidden = await this.#parts.hiddenInviters.of(userId)
    const events = await this.#parts.events.getByNids(
      q,
      invites.map(({ eventNid }) => eventNid),
    )
    for (const { event, roomNid } of events.values()) if (hidden.has(event.sender)) present.delete(roomNid)
    return present
  }

  /** Who ever had a membership of a room may subscribe to it, unless they have forgotten it. */
  async #subscriptions(
    q: Query,
    { userId, subscriptions, upTo }: VisibleRoomsRequest,
    members: ReadonlyMap<number, Member>,
  ): Promise<Map<number, Member>> {
    const ids = [...subscriptions]
    if (ids.length === 0) return new Map()
    const records = await this.#parts.rooms.getByIds(q, ids)
    const nids = [...records.values()].map(({ roomNid }) => roomNid)
    const others = await this.#parts.store.listMemberships(
      q,
      userId,
      nids.filter((nid) => !members.has(nid)),
    )
    const gone = others.filter(
      ({ membership, streamOrdering, forgotten }) =>
        isGone(membership) && streamOrdering <= upTo && !forgotten,
    )
    const found = new Map(gone.map((member) => [member.roomNid, toMember(member)]))
    for (const nid of nids) {
      const member = members.get(nid)
      if (member !== undefined) found.set(nid, member)
    }
    return found
  }

  async #toRooms(
    q: Query,
    members: ReadonlyMap<number, Member>,
    upTo: number,
  ): Promise<Map<number, VisibleRoom>> {
    const joined = [...members].filter(([, { membership }]) => membership === 'join').map(([nid]) => nid)
    const [records, last] = await Promise.all([
      this.#records(q, members),
      this.#parts.activity.lastPositions(joined, upTo),
    ])
    const rooms = new Map<number, VisibleRoom>()
    for (const [roomNid, { membership, eventNid, streamOrdering }] of members) {
      const room = records.get(roomNid)
      if (room === undefined || this.#parts.excludedRooms.has(room.roomId)) continue
      const activity = Math.max(last.get(roomNid) ?? 0, streamOrdering)
      rooms.set(roomNid, { room, membership, eventNid, streamOrdering, activity })
    }
    return rooms
  }

  /** Those of present rooms are known already. */
  async #records(
    q: Query,
    members: ReadonlyMap<number, Member & { readonly room?: RoomRecord }>,
  ): Promise<ReadonlyMap<number, RoomRecord>> {
    const known = new Map<number, RoomRecord>()
    const missing: number[] = []
    for (const [roomNid, { room }] of members) {
      if (room === undefined) missing.push(roomNid)
      else known.set(roomNid, room)
    }
    const read = await this.#parts.rooms.getByNids(q, missing)
    for (const [roomNid, room] of read) known.set(roomNid, room)
    return known
  }
}

function toMember({ membership, eventNid, streamOrdering }: OwnMembership): Member {
  return { membership, eventNid, streamOrdering }
}

export function isGone(membership: Membership): boolean {
  return membership === 'leave' || membership === 'ban'
}

/** Whether the user has left after the connection was told of the room the last time. */
function isUntoldLeave(
  { roomNid, membership, streamOrdering }: OwnMembership,
  { told, since, upTo }: VisibleRoomsRequest,
): boolean {
  const sent = positionOf(told.get(roomNid)?.sent, since ?? 0)
  return isGone(membership) && sent !== undefined && streamOrdering > sent && streamOrdering <= upTo
}

function select(
  rooms: ReadonlyMap<number, VisibleRoom>,
  members: ReadonlyMap<number, Member>,
): Map<number, VisibleRoom> {
  const selected = new Map<number, VisibleRoom>()
  for (const roomNid of members.keys()) {
    const room = rooms.get(roomNid)
    if (room !== undefined) selected.set(roomNid, room)
  }
  return selected
}
