import type { BulkCache, CacheRegistry } from '../../storage/cache-registry.js'
import type { Query } from '../../storage/database.js'
import type { EventPushActionsStore, ThreadFloor } from '../../storage/stores/event-push-actions.js'
import type { ReadPositions, ReceiptsStore } from '../../storage/stores/receipts.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import type { EventId, UserId } from '../../protocol/ids.js'
import type { PushEvaluator } from '../../protocol/push-evaluator.js'
import type { PushRules } from '../accounts/push-rules.js'
import { isQuietRoom } from './quiet-rooms.js'
import { UnreadTally } from './unread-tally.js'

export interface UnreadCount {
  readonly notifications: number
  readonly highlights: number
}

/** The unread counts of one room: its main timeline, and each thread that has any. */
export interface RoomUnreadCounts extends UnreadCount {
  readonly threads: ReadonlyMap<EventId, UnreadCount>
}

/** The name of the main timeline among threads. https://spec.matrix.org/latest/client-server-api/#threaded-read-receipts */
export const MAIN_TIMELINE = 'main'

const NOBODY: ReadonlySet<UserId> = new Set()
const NO_ROOMS: ReadonlySet<number> = new Set()

export interface UnreadCountsDependencies {
  readonly receipts: ReceiptsStore
  readonly pushActions: EventPushActionsStore
  readonly rooms: Pick<RoomsStore, 'getByNids'>
  readonly pushRules: Pick<PushRules, 'evaluatorsOfChanged'>
  readonly caches: CacheRegistry
}

/**
 * Counts what somebody has not read yet: events of others that notify or highlight them, after their receipts, their
 * joining of the room, and their own last message. What was counted is remembered, so that the next time only what is
 * new is looked at; an event that is redacted afterwards may count until the user reads on.
 * https://spec.matrix.org/latest/client-server-api/#receiving-notifications
 */
export class UnreadCounts {
  readonly #deps: UnreadCountsDependencies
  readonly #tallies: BulkCache<string, UnreadTally>

  constructor(deps: UnreadCountsDependencies) {
    this.#deps = deps
    this.#tallies = deps.caches.create({ name: 'unread_counts', max: 50_000 })
  }

  /**
   * The counts of each of these rooms, which the user is joined to, by nid: two statements however many rooms, a few
   * more at first. Counts of the room are those of its main
   * timeline; who does not ask for threads adds them up with `totalUnread`. At first no more than about 1000 events of
   * a room are counted. Events of `ignored` users are not.
   */
  async forRooms(
    q: Query,
    userId: UserId,
    roomNids: readonly number[],
    { ignored = NOBODY }: { ignored?: ReadonlySet<UserId> } = {},
  ): Promise<Map<number, RoomUnreadCounts>> {
    if (roomNids.length === 0) return new Map()
    const { receipts, pushActions, pushRules } = this.#deps
    const [reads, joins, evaluators] = await Promise.all([
      receipts.getReadPositions(q, userId, roomNids),
      pushActions.listJoinPositions(q, userId, roomNids),
      pushRules.evaluatorsOfChanged([userId], q),
    ])
    const evaluator = evaluators.get(userId)
    const quiet = evaluator ? await this.#quietRooms(q, evaluator, roomNids) : NO_ROOMS
    const ignoredKey = [...ignored].sort().join(' ')
    const tallies = joins.map(({ roomNid, position }) => {
      const since = {
        reads: reads.get(roomNid)!,
        joined: position,
        ignored: ignoredKey,
        quiet: quiet.has(roomNid),
      }
      const known = this.#tallies.peek(keyOf(userId, roomNid))
      return known?.isSince(since) ? known : UnreadTally.begin(roomNid, since)
    })
    const news = await pushActions.listNews(q, {
      userId,
      ignored: [...ignored],
      quiet: evaluator && quiet,
      rooms: tallies.map(({ roomNid, countedTo }) => ({ roomNid, position: countedTo })),
      threads: tallies.flatMap(({ roomNid, since }) => threadFloors(roomNid, since.reads)),
    })
    const newsOf = byRoom(news)
    const counts = new Map<number, RoomUnreadCounts>()
    for (const tally of tallies) {
      const { roomNid } = tally
      const next = tally.plus(newsOf.get(roomNid) ?? [])
      this.#tallies.set(keyOf(userId, roomNid), next)
      counts.set(roomNid, next.counts())
    }
    return new Map(roomNids.map((roomNid) => [roomNid, counts.get(roomNid) ?? NOTHING_UNREAD]))
  }

  async #quietRooms(
    q: Query,
    evaluator: PushEvaluator,
    roomNids: readonly number[],
  ): Promise<ReadonlySet<number>> {
    const rooms = await this.#deps.rooms.getByNids(q, roomNids)
    const quiet = [...rooms.values()].filter((room) => isQuietRoom(evaluator, room))
    return new Set(quiet.map(({ roomNid }) => roomNid))
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

const NOTHING_UNREAD: RoomUnreadCounts = { notifications: 0, highlights: 0, threads: new Map() }

function keyOf(userId: UserId, roomNid: number): string {
  return `${roomNid} ${userId}`
}

function threadFloors(roomNid: number, reads: ReadPositions): ThreadFloor[] {
  return [...reads.threads].map(([threadId, position]) => ({
    roomNid,
    position,
    threadRoot: threadId === MAIN_TIMELINE ? undefined : (threadId as EventId),
  }))
}

function byRoom<T extends { readonly roomNid: number }>(records: readonly T[]): Map<number, T[]> {
  const rooms = new Map<number, T[]>()
  for (const record of records) {
    const room = rooms.get(record.roomNid)
    if (room) room.push(record)
    else rooms.set(record.roomNid, [record])
  }
  return rooms
}
