import { forbidden } from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { PaginationToken } from '../../protocol/pagination-token.js'
import type { Database, Query } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { Membership, RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomTimelineStore } from '../../storage/stores/room-timeline.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { StateHistoryStore } from '../../storage/stores/state-history.js'
import type { JsonObject } from '../../util/json.js'
import type { Requester } from '../accounts/requester.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { EventVisibility } from '../events/event-visibility.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { RoomAccess, RoomView } from '../events/room-access.js'
import type { RoomState } from '../events/room-state.js'
import { membershipOf } from '../events/state-points.js'

const MEMBERSHIPS = ['join', 'invite', 'knock', 'leave', 'ban'] as const satisfies Membership[]

export interface MembersRequest {
  readonly roomId: RoomId
  /** The members as they were there; undefined: now, or when the reader left. */
  readonly at: PaginationToken | undefined
  /** Those with this membership or without the other; all where neither is given. */
  readonly membership: Membership | undefined
  readonly notMembership: Membership | undefined
}

interface Parts {
  readonly access: RoomAccess
  readonly visibility: EventVisibility
  readonly roomState: RoomState
  readonly clientEvents: ClientEvents
  readonly events: EventsStore
  readonly members: RoomMembersStore
  readonly timeline: RoomTimelineStore
  readonly history: StateHistoryStore
  /** Whether an application service has somebody in a room; without it, there are none. */
  readonly isServiceInRoom?: ((appserviceId: string, room: RoomRecord) => Promise<boolean>) | undefined
  /** Rooms whose members are not all known; without it, there are none. */
  readonly partialRooms?: Pick<PartialRooms, 'whenWhole' | 'completedBetween'> | undefined
}

/** Who is or was in rooms, for those who may know. */
export class RoomMembers {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The member events of a room. 403 `M_FORBIDDEN` when the reader may see nothing of the room, or nothing of it at that
   * point. Waits where this server does not know all members yet.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidmembers
   */
  async list(reader: EventReader, request: MembersRequest): Promise<JsonObject[]> {
    const view = await this.#parts.access.requireView(reader.userId, request.roomId)
    await this.#parts.partialRooms?.whenWhole(view.room.roomNid)
    const wanted = MEMBERSHIPS.filter((membership) => isWanted(membership, request))
    const members = request.at
      ? await this.#listAt(reader.userId, view, request.at)
      : await this.#listOf(view, wanted)
    const shown = members.filter((stored) => isWanted(membershipOf(stored), request))
    return this.#parts.clientEvents.serialize(reader, shown, { purpose: 'state' })
  }

  /**
   * The profiles of those who are in the room, by user ID. 403 `M_FORBIDDEN` unless the reader is, or somebody
   * else of the reader's application service, or everybody may read the room: its state tells them the same, and clients
   * ask here how many there are before they join. Waits as `list`.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidjoined_members
   */
  async listJoined(
    { userId, appserviceId }: Pick<Requester, 'userId' | 'appserviceId'>,
    roomId: RoomId,
  ): Promise<JsonObject> {
    const known = appserviceId === undefined ? undefined : await this.#parts.roomState.findRoom(roomId)
    const isService =
      known !== undefined &&
      appserviceId !== undefined &&
      (await this.#parts.isServiceInRoom?.(appserviceId, known)) === true
    const room = isService ? known : await this.#parts.access.requirePresent(userId, roomId)
    await this.#parts.partialRooms?.whenWhole(room.roomNid)
    const members = await this.#parts.members.listForRoom(this.#db.reader, room.roomNid, ['join'])
    return Object.fromEntries(
      members.map((member) => [
        member.userId,
        // Some clients read both without looking whether they are there.
        { display_name: member.displayName ?? null, avatar_url: member.avatarUrl ?? null },
      ]),
    )
  }

  async #listOf({ room, stateAt }: RoomView, wanted: readonly Membership[]): Promise<StoredEvent[]> {
    if (stateAt !== undefined) return this.#parts.roomState.getStateAt(stateAt, isMember)
    const members = await this.#parts.members.listForRoom(this.#db.reader, room.roomNid, wanted)
    return this.#load(members.map(({ eventNid }) => eventNid))
  }

  async #listAt(userId: UserId, view: RoomView, at: PaginationToken): Promise<StoredEvent[]> {
    const q = this.#db.reader
    const { roomNid } = view.room
    const bound = { ...at, streamOrdering: Math.min(at.streamOrdering, view.ceiling) }
    const reached = await this.#parts.timeline.lastAt(q, roomNid, bound)
    const last = reached ?? (await this.#firstMember(q, roomNid, view.ceiling))
    if (!last || !(await this.#parts.visibility.mayRead(userId, last))) {
      throw forbidden('You may not see the room at this point')
    }
    const position = reached ? bound.streamOrdering : last.streamOrdering
    // The state after one event is that of its branch; what the server took for the state of the room is in its history.
    if (position !== null && position >= 0 && !this.#wasPartial(roomNid, position)) {
      return this.#load(await this.#parts.history.listAt(q, roomNid, position, 'm.room.member'))
    }
    return last.stateAfter === null ? [] : this.#parts.roomState.getStateAt(last.stateAfter, isMember)
  }

  /** Whether not all members were known there, which are by now: those are in the states of its events alone. */
  #wasPartial(roomNid: number, position: number): boolean {
    const completed = this.#parts.partialRooms?.completedBetween(position, Number.MAX_SAFE_INTEGER)
    return completed?.includes(roomNid) === true
  }

  /**
   * The event by which a room came to have members. It stands for points before all events: `prev_batch` is such a
   * point where the whole room is in the timeline, and a room without anybody is no answer to who was there.
   */
  async #firstMember(q: Query, roomNid: number, ceiling: number): Promise<StoredEvent | undefined> {
    const { events } = await this.#parts.timeline.page(q, {
      roomNid,
      direction: 'f',
      from: { depth: 0, streamOrdering: Number.MIN_SAFE_INTEGER },
      ceiling,
      filter: { types: ['m.room.member'] },
      limit: 1,
    })
    return events[0]
  }

  async #load(nids: readonly number[]): Promise<StoredEvent[]> {
    const events = await this.#parts.events.getByNids(this.#db.reader, nids)
    return nids.flatMap((nid) => events.get(nid) ?? [])
  }
}

function isMember(type: string): boolean {
  return type === 'm.room.member'
}

function isWanted(
  actual: string | undefined,
  { membership, notMembership }: Pick<MembersRequest, 'membership' | 'notMembership'>,
): boolean {
  if (membership === undefined && notMembership === undefined) return true
  return actual === membership || (notMembership !== undefined && actual !== notMembership)
}
