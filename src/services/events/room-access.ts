import type { Database } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { Membership, RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomStay, RoomStaysStore } from '../../storage/stores/room-stays.js'
import type { RoomTimelineStore } from '../../storage/stores/room-timeline.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import { forbidden } from '../../protocol/errors.js'
import { parseHistoryVisibility } from '../../protocol/history-visibility.js'
import type { RoomId, UserId } from '../../protocol/ids.js'

/** How much of a room somebody may see. */
export interface RoomView {
  readonly room: RoomRecord
  /** Undefined for those who look in from outside, which the room must allow at each event. */
  readonly membership: Membership | undefined
  /** The snapshot of the state they may see: that at which they left. Undefined: the current state. */
  readonly stateAt: number | undefined
  /** The last position of the events stream that they may read: for those who left, that of leaving. */
  readonly ceiling: number
}

interface Parts {
  readonly rooms: RoomsStore
  readonly events: EventsStore
  readonly members: RoomMembersStore
  readonly stays: RoomStaysStore
  readonly currentState: CurrentStateStore
  readonly timeline: RoomTimelineStore
  /** The position up to which readers see the events stream. */
  readonly eventsPosition: () => number
}

/**
 * Who may look into which room: members; those who were members, as it was when they left, unless they have forgotten
 * it; everybody where the room is world-readable.
 */
export class RoomAccess {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** 403 `M_FORBIDDEN` when the user may see nothing of the room, and when there is no such room. */
  async requireView(userId: UserId, roomId: RoomId): Promise<RoomView> {
    const view = await this.findView(userId, roomId)
    if (!view) throw forbidden('You are not a member of this room, and have not been one')
    return view
  }

  /** Undefined when the user may see nothing of the room, and when there is no such room. */
  async findView(userId: UserId, roomId: RoomId): Promise<RoomView | undefined> {
    const q = this.#db.reader
    const room = await this.#parts.rooms.get(q, roomId)
    if (!room) return undefined
    const member = await this.#parts.members.get(q, room.roomNid, userId)
    const ceiling = this.#parts.eventsPosition()
    if (member?.membership === 'join') {
      return { room, membership: 'join', stateAt: undefined, ceiling }
    }
    if (member && !member.forgotten) {
      const stay = (await this.#parts.stays.listLast(q, userId, [room.roomNid])).get(room.roomNid)
      if (stay?.end) return this.#viewOfLeaver(room, member.membership, stay.end)
    }
    if (!(await this.#isWorldReadable(room))) return undefined
    return { room, membership: member?.membership, stateAt: undefined, ceiling }
  }

  /** 403 `M_FORBIDDEN` unless the user sees the room as it is now, and not only as it was when they left. */
  async requirePresent(userId: UserId, roomId: RoomId): Promise<RoomRecord> {
    const view = await this.findView(userId, roomId)
    if (view === undefined || view.stateAt !== undefined) throw forbidden('You are not in this room')
    return view.room
  }

  /** 403 `M_FORBIDDEN` unless the user is in the room now. */
  async requireJoined(userId: UserId, roomId: RoomId): Promise<RoomRecord> {
    const q = this.#db.reader
    const room = await this.#parts.rooms.get(q, roomId)
    const member = room && (await this.#parts.members.get(q, room.roomNid, userId))
    if (!room || member?.membership !== 'join') throw forbidden('You are not in this room')
    return room
  }

  async #viewOfLeaver(
    room: RoomRecord,
    membership: Membership,
    end: NonNullable<RoomStay['end']>,
  ): Promise<RoomView | undefined> {
    const q = this.#db.reader
    const { eventNid, streamOrdering } = end
    const leaving =
      (await this.#parts.events.getByNids(q, [eventNid])).get(eventNid) ??
      (await this.#parts.timeline.lastAt(q, room.roomNid, { streamOrdering }))
    if (leaving === undefined || leaving.stateAfter === null) return undefined
    return { room, membership, stateAt: leaving.stateAfter, ceiling: streamOrdering }
  }

  async #isWorldReadable(room: RoomRecord): Promise<boolean> {
    const q = this.#db.reader
    const nid = await this.#parts.currentState.get(q, room.roomNid, 'm.room.history_visibility', '')
    if (nid === undefined) return false
    const stored = (await this.#parts.events.getByNids(q, [nid])).get(nid)
    return parseHistoryVisibility(stored?.event) === 'world_readable'
  }
}
