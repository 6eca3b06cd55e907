import type { Membership } from '../../../storage/stores/room-members.js'
import type { MembershipChangesStore } from '../../../storage/stores/membership-changes.js'
import type { Database } from '../../../storage/database.js'
import type { RoomId, UserId } from '../../../protocol/ids.js'
import { LIVE } from '../../../storage/stores/sliding-sync.js'
import type { Receipts } from '../../ephemeral/receipts.js'
import { positionOf, UNTOLD, type RoomMemory } from './connection.js'
import type { RoomConfig } from './sliding-request.js'
import type { VisibleRoom } from './visible-rooms.js'

/** A room that is told, and how. */
export interface RoomPlan extends VisibleRoom {
  readonly roomNid: number
  readonly roomId: RoomId
  readonly config: RoomConfig
  readonly memory: RoomMemory
  /** The client has everything of the room up to here; undefined: it is told anew. */
  readonly after: number | undefined
  /** The timeline reaches further back than before, over what the client has already. */
  readonly isExpanded: boolean
  readonly isDm: boolean
  /** The user has read on in it, here or on another device: less of it is unread. */
  readonly isReadOn: boolean
  /** Where the room ends for the user. */
  readonly upTo: number
}

export interface PlanRequest {
  readonly userId: UserId
  readonly since: number | undefined
  readonly upTo: number
  /** The same in the stream of receipts. */
  readonly receipts: { readonly since: number | undefined; readonly upTo: number }
  readonly told: ReadonlyMap<number, RoomMemory>
  readonly dmRooms: ReadonlySet<string>
}

/** Decides which of the rooms that a client looks at are told. */
export class RoomPlanner {
  readonly #db: Database
  readonly #changes: MembershipChangesStore
  readonly #receipts: Pick<Receipts, 'listReadOn'>

  constructor(db: Database, changes: MembershipChangesStore, receipts: Pick<Receipts, 'listReadOn'>) {
    this.#db = db
    this.#changes = changes
    this.#receipts = receipts
  }

  /** The rooms of which there is, or may be, something to tell. */
  async plan(
    rooms: readonly { readonly room: VisibleRoom; readonly config: RoomConfig }[],
    request: PlanRequest,
  ): Promise<RoomPlan[]> {
    const all = rooms.map(({ room }) => room)
    const [fresh, readOn] = await Promise.all([this.#newlyEntered(all, request), this.#readOn(all, request)])
    return rooms.flatMap(({ room, config }) => {
      const { roomNid, roomId } = room.room
      const memory = request.told.get(roomNid) ?? UNTOLD
      const sent = positionOf(memory.sent, request.since ?? 0)
      const after = fresh.has(roomNid) ? undefined : sent
      // Outsiders are told the same whatever is asked for.
      const hasMore = !isInvited(room.membership)
      const isExpanded = hasMore && after !== undefined && config.timelineLimit > memory.timelineLimit
      const isDm = request.dmRooms.has(roomId)
      const isReadOn = readOn.has(roomNid)
      const hasNews =
        after === undefined ||
        isExpanded ||
        room.activity > after ||
        isDm !== memory.isDm ||
        isReadOn ||
        (hasMore && config.requiredState.exceeds(memory.requiredState))
      if (!hasNews) return []
      const upTo = isIn(room.membership) ? request.upTo : room.streamOrdering
      return [{ ...room, roomNid, roomId, config, memory, after, isExpanded, isDm, isReadOn, upTo }]
    })
  }

  /** Rooms whose counts of what is unread may not be what the client was told, though nothing has happened in them. */
  async #readOn(
    rooms: readonly VisibleRoom[],
    { userId, receipts }: PlanRequest,
  ): Promise<ReadonlySet<number>> {
    const { since, upTo } = receipts
    if (since === undefined) return new Set()
    const joined = rooms.filter(({ membership }) => isIn(membership)).map(({ room }) => room)
    return this.#receipts.listReadOn(this.#db.reader, joined, { since, upTo, userId })
  }

  /**
   * Rooms that the user has come to since the connection was told of them: it begins anew with them, since it has missed
   * what went on in between. So it does with rooms that the user is now invited to.
   */
  async #newlyEntered(rooms: readonly VisibleRoom[], request: PlanRequest): Promise<ReadonlySet<number>> {
    const { userId, upTo } = request
    const moved = rooms.flatMap(({ room, membership, streamOrdering }) => {
      const { roomNid } = room
      const position = positionOf(request.told.get(roomNid)?.sent, request.since ?? 0)
      return position !== undefined && streamOrdering > position ? [{ roomNid, membership, position }] : []
    })
    const entered = new Set(moved.filter((room) => isInvited(room.membership)).map(({ roomNid }) => roomNid))
    const joined = moved.filter(({ membership }) => membership === 'join')
    if (joined.length === 0) return entered
    const before = await this.#changes.listAt(this.#db.reader, userId, joined)
    const after = Math.min(...joined.map(({ position }) => position))
    const since = await this.#changes.listForUser(this.#db.reader, userId, { after, upTo })
    for (const { roomNid, position } of joined) {
      const wasOut = since.some(
        (change) =>
          change.roomNid === roomNid && change.streamOrdering > position && change.membership !== 'join',
      )
      if (wasOut || before.get(roomNid)?.membership !== 'join') entered.add(roomNid)
    }
    return entered
  }
}

/**
 * Rooms that the connection was told of and that are not told now, though something happened: noted, so that the client
 * gets it when it looks at them again.
 */
export function listMissed(
  rooms: ReadonlyMap<number, VisibleRoom>,
  relevant: ReadonlySet<number>,
  { told, since }: Pick<PlanRequest, 'told' | 'since'>,
): number[] {
  if (since === undefined) return []
  const missed: number[] = []
  for (const [roomNid, { sent }] of told) {
    if (sent !== LIVE || relevant.has(roomNid)) continue
    const activity = rooms.get(roomNid)?.activity
    if (activity !== undefined && activity > since) missed.push(roomNid)
  }
  return missed
}

/** Whether the user follows what goes on in the room. */
export function isIn(membership: Membership): boolean {
  return membership === 'join'
}

/** Whether the user is told of the room as an outsider. */
export function isInvited(membership: Membership): boolean {
  return membership === 'invite' || membership === 'knock'
}
