import type { Query } from '../../storage/database.js'
import type {
  EventPushActionsStore,
  RoomFloor,
  ThreadFloor,
} from '../../storage/stores/event-push-actions.js'
import type { ReadPosition, ReceiptsStore } from '../../storage/stores/receipts.js'
import type { EventId, UserId } from '../../protocol/ids.js'

export interface UnreadCount {
  readonly notifications: number
  readonly highlights: number
}

/** The unread counts of one room: its main timeline, and each thread that has any. */
export interface RoomUnreadCounts extends UnreadCount {
  readonly threads: ReadonlyMap<EventId, UnreadCount>
}

interface MutableCount {
  notifications: number
  highlights: number
}

/** The name of the main timeline among threads. https://spec.matrix.org/latest/client-server-api/#threaded-read-receipts */
export const MAIN_TIMELINE = 'main'

/**
 * Counts what somebody has not read yet: events of others that notify or highlight them, after their receipts, their
 * joining of the room, and their own last message.
 * https://spec.matrix.org/latest/client-server-api/#receiving-notifications
 */
export class UnreadCounts {
  readonly #receipts: ReceiptsStore
  readonly #pushActions: EventPushActionsStore

  constructor(receipts: ReceiptsStore, pushActions: EventPushActionsStore) {
    this.#receipts = receipts
    this.#pushActions = pushActions
  }

  /**
   * The counts of each of these rooms, which the user is joined to, by nid: four statements however many rooms. Counts
   * of the room are those of its main timeline; who does not ask for threads adds them up with `totalUnread`. At most
   * about 1000 events of a room are counted.
   */
  async forRooms(
    q: Query,
    userId: UserId,
    roomNids: readonly number[],
  ): Promise<Map<number, RoomUnreadCounts>> {
    if (roomNids.length === 0) return new Map()
    const [reads, joins] = await Promise.all([
      this.#receipts.listReadPositions(q, userId, roomNids),
      this.#pushActions.listJoinPositions(q, userId, roomNids),
    ])
    const rooms = roomFloors(joins, reads)
    const threads = threadFloors(reads)
    const [counts, highlights] = await Promise.all([
      this.#pushActions.countNotifying(q, userId, { rooms, threads }),
      this.#pushActions.listHighlights(q, userId, rooms),
    ])
    const tally = new Tally(threads)
    for (const { roomNid, threadRoot, notifications, ownPosition } of counts) {
      tally.of(roomNid, threadRoot).notifications += notifications
      tally.raiseFloor(roomNid, threadRoot, ownPosition)
    }
    for (const { roomNid, threadRoot, position, notifies } of highlights) {
      if (position <= tally.floorOf(roomNid, threadRoot)) continue
      const count = tally.of(roomNid, threadRoot)
      count.highlights += 1
      // What notifies everybody has been counted already.
      if (!notifies) count.notifications += 1
    }
    return new Map(roomNids.map((roomNid) => [roomNid, tally.result(roomNid)]))
  }
}

/** The counts of a room with those of its threads. */
export function totalUnread(counts: RoomUnreadCounts): UnreadCount {
  let { notifications, highlights } = counts
  for (const thread of counts.threads.values()) {
    notifications += thread.notifications
    highlights += thread.highlights
  }
  return { notifications, highlights }
}

/** An unthreaded receipt reads all threads; nothing from before joining is unread. Rooms not joined are left out. */
function roomFloors(joins: readonly RoomFloor[], reads: readonly ReadPosition[]): RoomFloor[] {
  const positions = new Map(joins.map(({ roomNid, position }) => [roomNid, position]))
  for (const { roomNid, threadId, position } of reads) {
    const floor = positions.get(roomNid)
    if (threadId === undefined && floor !== undefined) positions.set(roomNid, Math.max(floor, position))
  }
  return [...positions].map(([roomNid, position]) => ({ roomNid, position }))
}

function threadFloors(reads: readonly ReadPosition[]): ThreadFloor[] {
  return reads.flatMap(({ roomNid, threadId, position }) =>
    threadId === undefined
      ? []
      : [{ roomNid, position, threadRoot: threadId === MAIN_TIMELINE ? undefined : (threadId as EventId) }],
  )
}

/** Counts by room and thread as they add up. */
class Tally {
  readonly #counts = new Map<number, Map<EventId | undefined, MutableCount>>()
  readonly #floors = new Map<string, number>()

  constructor(threads: readonly ThreadFloor[]) {
    for (const { roomNid, threadRoot, position } of threads) this.raiseFloor(roomNid, threadRoot, position)
  }

  of(roomNid: number, threadRoot: EventId | undefined): MutableCount {
    const room = this.#counts.get(roomNid) ?? new Map<EventId | undefined, MutableCount>()
    const count = room.get(threadRoot) ?? { notifications: 0, highlights: 0 }
    this.#counts.set(roomNid, room.set(threadRoot, count))
    return count
  }

  floorOf(roomNid: number, threadRoot: EventId | undefined): number {
    return this.#floors.get(`${roomNid} ${threadRoot ?? ''}`) ?? 0
  }

  raiseFloor(roomNid: number, threadRoot: EventId | undefined, position: number): void {
    if (position > this.floorOf(roomNid, threadRoot)) {
      this.#floors.set(`${roomNid} ${threadRoot ?? ''}`, position)
    }
  }

  result(roomNid: number): RoomUnreadCounts {
    const threads = new Map<EventId, UnreadCount>()
    let main: UnreadCount = { notifications: 0, highlights: 0 }
    for (const [threadRoot, count] of this.#counts.get(roomNid) ?? []) {
      if (threadRoot === undefined) main = count
      else if (count.notifications > 0) threads.set(threadRoot, count)
    }
    return { ...main, threads }
  }
}
