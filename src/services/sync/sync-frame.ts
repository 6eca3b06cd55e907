import type { Database } from '../../storage/database.js'
import type { MembershipChange, MembershipChangesStore } from '../../storage/stores/membership-changes.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import { selectsRoom, type Filter } from '../../protocol/event-filter.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { StreamToken } from '../../protocol/stream-token.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { EventTail, TailSlice } from '../events/event-tail.js'
import type { IgnoredUsers } from './ignored-users.js'
import type { LazyMembers, LazyMemberSession } from './lazy-members.js'
import type { SyncRequest } from './sync-request.js'
import type { UserRoom, UserRoomsCache } from './user-rooms.js'
import { groupBy } from '../../util/group-by.js'

/** The last time a user was in a room that they are no longer in, as far as the client has not seen it. */
export interface Stay {
  /** What the client has seen of the room; undefined: nothing. */
  readonly after: number | undefined
  /** The change that ended it. */
  readonly end: MembershipChange
}

/** A room that the user is no longer in. */
export interface LeftRoom {
  readonly room: RoomRecord
  /** The membership that they have now. */
  readonly last: MembershipChange
  /** Undefined: they were not in the room, but invited for example. */
  readonly stay: Stay | undefined
}

/** What all parts of an answer are made from: the user's rooms, and how they were when the client last looked. */
export interface SyncFrame {
  readonly request: SyncRequest
  /** Undefined: the client has nothing yet. */
  readonly since: StreamToken | undefined
  /** Sampled before anything was read: what the answer's token says. */
  readonly now: StreamToken
  /** Every joined room is shown, with all of its state. */
  readonly isFull: boolean
  /** What happened in all rooms since, where that is in memory. */
  readonly tail: TailSlice | undefined
  readonly joined: ReadonlyMap<number, UserRoom>
  /** Of the joined rooms those that the user has come to since. */
  readonly newlyJoined: ReadonlySet<number>
  /** Invitations that are to be told. */
  readonly invited: readonly UserRoom[]
  readonly knocked: readonly UserRoom[]
  readonly left: readonly LeftRoom[]
  readonly ignored: ReadonlySet<UserId>
  readonly lazyMembers: LazyMemberSession
}

interface Parts {
  readonly userRooms: UserRoomsCache
  readonly tail: EventTail
  readonly changes: MembershipChangesStore
  readonly members: RoomMembersStore
  readonly rooms: RoomsStore
  readonly ignored: IgnoredUsers
  readonly lazyMembers: LazyMembers
  /** Rooms that are shown to nobody. */
  readonly excludedRooms: ReadonlySet<RoomId>
  /** Rooms whose members are not all known; without it, there are none. */
  readonly partialRooms?: Pick<PartialRooms, 'isPartial' | 'completedBetween'> | undefined
}

/** What happened to the user's own memberships since the client last looked. */
interface OwnChanges {
  readonly byRoom: ReadonlyMap<number, readonly MembershipChange[]>
  /** The memberships before those changes. */
  readonly before: ReadonlyMap<number, MembershipChange>
}

const NO_CHANGES: OwnChanges = { byRoom: new Map(), before: new Map() }

/** Finds out what a sync is about. */
export class SyncFrames {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  async load(request: SyncRequest, since: StreamToken | undefined, now: StreamToken): Promise<SyncFrame> {
    const { viewer, filter, fullState } = request
    const { userId } = viewer
    const [userRooms, changes, tail, ignored] = await Promise.all([
      this.#parts.userRooms.at(userId, now.events),
      since ? this.#ownChanges(userId, since.events, now.events) : NO_CHANGES,
      since ? this.#parts.tail.between(since.events, now.events) : undefined,
      this.#parts.ignored.of(userId),
    ])
    const present = [...userRooms.rooms].filter(([, { room }]) => selectsRoom(filter.room, room.roomId))
    const isFull = since === undefined || fullState
    const toTell = present
      .filter(([roomNid]) => isFull || changes.byRoom.has(roomNid))
      .map(([, room]) => room)
    // A room whose members are not all known is not shown to clients that want all of them.
    const isWithheld = (roomNid: number): boolean =>
      !filter.room.state.lazyLoadMembers && this.#parts.partialRooms?.isPartial(roomNid) === true
    const joined = new Map(
      present.filter(([roomNid, { membership }]) => membership === 'join' && !isWithheld(roomNid)),
    )
    const left = since
      ? await this.#newlyLeft(changes, { since, fullState, present: userRooms.rooms })
      : await this.#archived(request, now)
    return {
      request,
      since,
      now,
      isFull,
      tail,
      joined,
      newlyJoined: new Set(
        [
          ...[...changes.byRoom.keys()].filter((roomNid) => isNewlyJoined(changes, roomNid)),
          ...this.#completed(filter, since, now),
        ].filter((roomNid) => joined.has(roomNid)),
      ),
      invited: toTell.filter(({ membership }) => membership === 'invite'),
      knocked: toTell.filter(({ membership }) => membership === 'knock'),
      left: left.filter(({ room }) => selectsRoom(filter.room, room.roomId)),
      ignored,
      lazyMembers: this.#parts.lazyMembers.begin(viewer, since?.events, now.events),
    }
  }

  /** The rooms that were withheld when the client last looked, since not all of their members were known. */
  #completed({ room }: Filter, since: StreamToken | undefined, now: StreamToken): readonly number[] {
    if (since === undefined || room.state.lazyLoadMembers) return []
    return this.#parts.partialRooms?.completedBetween(since.events, now.events) ?? []
  }

  async #ownChanges(userId: UserId, after: number, upTo: number): Promise<OwnChanges> {
    const changes = await this.#parts.userRooms.listChanges(userId, { after, upTo })
    if (changes.length === 0) return NO_CHANGES
    const byRoom = groupBy(changes, ({ roomNid }) => roomNid)
    const rooms = [...byRoom.keys()].map((roomNid) => ({ roomNid, position: after }))
    return { byRoom, before: await this.#parts.changes.listAt(this.#db.reader, userId, rooms) }
  }

  /** The rooms that the user has left, or been thrown out of, since the client last looked. */
  async #newlyLeft(
    changes: OwnChanges,
    {
      since,
      fullState,
      present,
    }: { since: StreamToken; fullState: boolean; present: ReadonlyMap<number, UserRoom> },
  ): Promise<LeftRoom[]> {
    const gone = [...changes.byRoom].filter(([roomNid]) => !present.has(roomNid))
    if (gone.length === 0) return []
    const records = await this.#parts.rooms.getByNids(
      this.#db.reader,
      gone.map(([roomNid]) => roomNid),
    )
    return gone.flatMap(([roomNid, ofRoom]) => {
      const room = records.get(roomNid)
      const last = ofRoom.at(-1)
      if (room === undefined || last === undefined) return []
      const wasJoined = changes.before.get(roomNid)?.membership === 'join'
      const end = endOfStay(ofRoom, wasJoined)
      const continues = wasJoined && !fullState && !ofRoom.some(({ membership }) => membership === 'join')
      return [{ room, last, stay: end && { after: continues ? since.events : undefined, end } }]
    })
  }

  /**
   * The rooms that a client which begins is told of as left: those that the user was thrown out of, and if it asks, all
   * that have not been forgotten.
   */
  async #archived({ viewer, filter }: SyncRequest, now: StreamToken): Promise<LeftRoom[]> {
    const { userId } = viewer
    const q = this.#db.reader
    const members = await this.#parts.members.listForUser(q, userId, ['leave', 'ban'])
    const shown = members.filter(
      ({ forgotten, sender, streamOrdering }) =>
        !forgotten && streamOrdering <= now.events && (filter.room.includeLeave || sender !== userId),
    )
    if (shown.length === 0) return []
    const before = await this.#parts.changes.listAt(
      q,
      userId,
      shown.map(({ roomNid, streamOrdering }) => ({ roomNid, position: streamOrdering - 1 })),
    )
    const records = await this.#parts.rooms.getByNids(
      q,
      shown.map(({ roomNid }) => roomNid),
    )
    return shown.flatMap((last) => {
      const room = records.get(last.roomNid)
      if (room === undefined || this.#parts.excludedRooms.has(room.roomId)) return []
      const wasJoined = before.get(last.roomNid)?.membership === 'join'
      return [{ room, last, stay: wasJoined ? { after: undefined, end: last } : undefined }]
    })
  }
}

/** Who was out of the room in between has missed what went on there, and begins anew. */
function isNewlyJoined({ byRoom, before }: OwnChanges, roomNid: number): boolean {
  if (before.get(roomNid)?.membership !== 'join') return true
  return byRoom.get(roomNid)?.some(({ membership }) => membership !== 'join') ?? false
}

/** The change that ended the last stay within some changes; undefined when there was none. */
function endOfStay(changes: readonly MembershipChange[], wasJoined: boolean): MembershipChange | undefined {
  const lastJoin = changes.findLastIndex(({ membership }) => membership === 'join')
  if (lastJoin === -1 && !wasJoined) return undefined
  return changes[lastJoin + 1]
}
