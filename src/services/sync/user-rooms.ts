import type { BulkCache, CacheRegistry } from '../../storage/cache-registry.js'
import type { Database, Query } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { MembershipChange, MembershipChangesStore } from '../../storage/stores/membership-changes.js'
import type { Membership, RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { EventTail } from '../events/event-tail.js'

/** A room that a user is in, is invited to, or knocks at. */
export interface UserRoom {
  readonly room: RoomRecord
  readonly membership: Membership
  readonly eventNid: number
  /** Of the membership's event. */
  readonly streamOrdering: number
}

/** A user's rooms as they were over a stretch of the events stream. */
export interface UserRooms {
  /** Right from here... */
  readonly from: number
  /** ...up to and including here. */
  readonly upTo: number
  /** By nid: joined, invited, knocked at. */
  readonly rooms: ReadonlyMap<number, UserRoom>
  /** The same object for as long as it holds the same rooms. */
  readonly joinedIds: ReadonlySet<RoomId>
}

interface Parts {
  readonly members: RoomMembersStore
  readonly changes: MembershipChangesStore
  readonly rooms: RoomsStore
  readonly events: EventsStore
  readonly tail: EventTail
  /** Rooms that are shown to nobody. */
  readonly excludedRooms: ReadonlySet<RoomId>
}

/** Memberships that name a room among the user's. */
const PRESENT: readonly Membership[] = ['join', 'invite', 'knock']
const BYTES_PER_ROOM = 150

/**
 * Which rooms users are in, at a position of the stream. Kept in memory and moved on by the changes of memberships since,
 * so that a sync does not cost more the more rooms a user is in. Excluded rooms are never among them, nor among the changes.
 */
export class UserRoomsCache {
  readonly #db: Database
  readonly #parts: Parts
  readonly #cache: BulkCache<UserId, UserRooms>

  constructor(db: Database, caches: CacheRegistry, parts: Parts) {
    this.#db = db
    this.#parts = parts
    this.#cache = caches.create({
      name: 'sync_user_rooms',
      maxSize: 32 * 1024 * 1024,
      sizeOf: ({ rooms }) => 500 + rooms.size * BYTES_PER_ROOM,
    })
  }

  /** The rooms of a user at a position that can be read. */
  async at(userId: UserId, position: number): Promise<UserRooms> {
    const known = this.#cache.peek(userId)
    if (known === undefined || position < known.from) return this.#load(userId, position)
    if (position <= known.upTo) return known
    const range = { after: known.upTo, upTo: position }
    const next = await this.#advance(known, await this.listChanges(userId, range), position)
    this.#remember(userId, next)
    return next
  }

  /** The joined rooms as last known: for waking, where too old an answer is followed by another sync. */
  joinedNow(userId: UserId): ReadonlySet<RoomId> | undefined {
    return this.#cache.peek(userId)?.joinedIds
  }

  /** The changes of a user's memberships in a stretch of the stream, in order; from memory where it reaches. */
  async listChanges(userId: UserId, range: { after: number; upTo: number }): Promise<MembershipChange[]> {
    return this.#withoutExcluded(await this.#readChanges(userId, range))
  }

  async #withoutExcluded(changes: MembershipChange[]): Promise<MembershipChange[]> {
    const { excludedRooms, rooms } = this.#parts
    if (excludedRooms.size === 0 || changes.length === 0) return changes
    const records = await rooms.getByNids(
      this.#db.reader,
      changes.map(({ roomNid }) => roomNid),
    )
    return changes.filter(({ roomNid }) => {
      const room = records.get(roomNid)
      return room === undefined || !excludedRooms.has(room.roomId)
    })
  }

  async #readChanges(userId: UserId, range: { after: number; upTo: number }): Promise<MembershipChange[]> {
    const tail = await this.#parts.tail.between(range.after, range.upTo)
    if (tail === undefined) return this.#parts.changes.listForUser(this.#db.reader, userId, range)
    const own = tail.deltas.filter(({ type, stateKey }) => stateKey === userId && type === 'm.room.member')
    if (own.length === 0) return []
    const events = await this.#parts.events.getByNids(
      this.#db.reader,
      own.flatMap(({ eventNid }) => eventNid ?? []),
    )
    return own.map(({ roomNid, eventNid, streamOrdering }) => ({
      roomNid,
      eventNid: eventNid ?? 0,
      streamOrdering,
      membership: (events.get(eventNid ?? 0)?.event.content['membership'] ?? 'leave') as Membership,
    }))
  }

  async #load(userId: UserId, position: number): Promise<UserRooms> {
    const loaded = await this.#db.read('sync_user_rooms', async (q) => {
      const current = await this.#parts.members.listForUser(q, userId, PRESENT)
      const memberships = new Map<number, MembershipChange>(current.map((member) => [member.roomNid, member]))
      await this.#rewind(q, { userId, memberships, position })
      return this.#toUserRooms(q, memberships, position)
    })
    this.#remember(userId, loaded)
    return loaded
  }

  /** What the database says may be later than the position. */
  async #rewind(
    q: Query,
    {
      userId,
      memberships,
      position,
    }: { userId: UserId; memberships: Map<number, MembershipChange>; position: number },
  ): Promise<void> {
    const range = { after: position, upTo: Number.MAX_SAFE_INTEGER }
    const later = await this.#parts.changes.listForUser(q, userId, range)
    const roomNids = [...new Set(later.map(({ roomNid }) => roomNid))]
    const before = await this.#parts.changes.listAt(
      q,
      userId,
      roomNids.map((roomNid) => ({ roomNid, position })),
    )
    for (const roomNid of roomNids) {
      const change = before.get(roomNid)
      if (change && PRESENT.includes(change.membership)) memberships.set(roomNid, change)
      else memberships.delete(roomNid)
    }
  }

  async #toUserRooms(
    q: Query,
    memberships: ReadonlyMap<number, MembershipChange>,
    position: number,
  ): Promise<UserRooms> {
    const records = await this.#parts.rooms.getByNids(q, [...memberships.keys()])
    const rooms = new Map<number, UserRoom>()
    for (const [roomNid, { membership, eventNid, streamOrdering }] of memberships) {
      const room = records.get(roomNid)
      if (room && !this.#parts.excludedRooms.has(room.roomId)) {
        rooms.set(roomNid, { room, membership, eventNid, streamOrdering })
      }
    }
    return { from: position, upTo: position, rooms, joinedIds: joinedOf(rooms) }
  }

  async #advance(known: UserRooms, changes: readonly MembershipChange[], upTo: number): Promise<UserRooms> {
    if (changes.length === 0) return { ...known, upTo }
    const rooms = new Map(known.rooms)
    const records = await this.#parts.rooms.getByNids(
      this.#db.reader,
      changes.map(({ roomNid }) => roomNid),
    )
    for (const { roomNid, membership, eventNid, streamOrdering } of changes) {
      const room = records.get(roomNid)
      if (room && PRESENT.includes(membership)) {
        rooms.set(roomNid, { room, membership, eventNid, streamOrdering })
      } else {
        rooms.delete(roomNid)
      }
    }
    const joinedIds = joinedOf(rooms)
    const from = changes.at(-1)?.streamOrdering ?? upTo
    return { from, upTo, rooms, joinedIds: sameIds(joinedIds, known.joinedIds) ? known.joinedIds : joinedIds }
  }

  /** The latest is kept when several syncs of a user run at once. */
  #remember(userId: UserId, rooms: UserRooms): void {
    const known = this.#cache.peek(userId)
    if (known === undefined || known.upTo < rooms.upTo) this.#cache.set(userId, rooms)
  }
}

function joinedOf(rooms: ReadonlyMap<number, UserRoom>): ReadonlySet<RoomId> {
  const joined = new Set<RoomId>()
  for (const { room, membership } of rooms.values()) if (membership === 'join') joined.add(room.roomId)
  return joined
}

function sameIds(a: ReadonlySet<RoomId>, b: ReadonlySet<RoomId>): boolean {
  if (a.size !== b.size) return false
  for (const id of a) if (!b.has(id)) return false
  return true
}
