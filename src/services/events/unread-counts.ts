import type { BulkCache, CacheRegistry } from '../../storage/cache-registry.js'
import type { Query } from '../../storage/database.js'
import type { EventPushActionsStore, PushNews, ThreadFloor } from '../../storage/stores/event-push-actions.js'
import type { ReadPositions, ReceiptsStore } from '../../storage/stores/receipts.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import type { EventId, UserId } from '../../protocol/ids.js'
import type { PushEvaluator } from '../../protocol/push-evaluator.js'
import type { PushRules } from '../accounts/push-rules.js'
import { isQuietRoom } from './quiet-rooms.js'
import { UnreadTally } from './unread-tally.js'
import { groupBy, pushTo } from '../../util/group-by.js'

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

/** Whose counts are wanted, of which rooms. */
export interface UnreadCountsQuery {
  readonly userId: UserId
  readonly roomNids: readonly number[]
  /** Their events count for nothing. */
  readonly ignored: ReadonlySet<UserId>
}

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
   * more at first. Counts of the room are those of its main timeline; who does not ask for threads adds them up with
   * `totalUnread`. At first no more than about 1000 events of a room are counted. Events of `ignored` users are not.
   */
  async forRooms(
    q: Query,
    userId: UserId,
    roomNids: readonly number[],
    { ignored = NOBODY }: { ignored?: ReadonlySet<UserId> } = {},
  ): Promise<Map<number, RoomUnreadCounts>> {
    return (await this.forUsers(q, [{ userId, roomNids, ignored }])).get(userId) ?? new Map()
  }

  /** The same for several users, each once: by user, as many statements as for one. */
  async forUsers(
    q: Query,
    users: readonly UnreadCountsQuery[],
  ): Promise<Map<UserId, Map<number, RoomUnreadCounts>>> {
    const members = users.flatMap(({ userId, roomNids }) => roomNids.map((roomNid) => ({ userId, roomNid })))
    if (members.length === 0) return new Map(users.map(({ userId }) => [userId, new Map()]))
    const { receipts, pushActions, pushRules } = this.#deps
    const [reads, joins, evaluators] = await Promise.all([
      receipts.getReadPositionsOf(q, members),
      pushActions.listJoinPositions(q, members),
      pushRules.evaluatorsOfChanged(
        users.map(({ userId }) => userId),
        q,
      ),
    ])
    const quiet = await this.#quietRooms(q, users, evaluators)
    const ignoredKeys = new Map(users.map(({ userId, ignored }) => [userId, [...ignored].sort().join(' ')]))
    const tallies = joins.map(({ userId, roomNid, position }) => {
      const since = {
        reads: reads.get(userId)!.get(roomNid)!,
        joined: position,
        ignored: ignoredKeys.get(userId)!,
        quiet: quiet.get(userId)?.has(roomNid) ?? false,
      }
      const known = this.#tallies.peek(keyOf(userId, roomNid))
      return { userId, tally: known?.isSince(since) ? known : UnreadTally.begin(roomNid, since) }
    })
    const news = await this.#newsOf(q, { users, quiet, tallies })
    const counts = new Map(users.map(({ userId, roomNids }) => [userId, nothingIn(roomNids)]))
    for (const { userId, tally } of tallies) {
      const key = keyOf(userId, tally.roomNid)
      const next = tally.plus(news.get(key) ?? [])
      this.#tallies.set(key, next)
      counts.get(userId)!.set(tally.roomNid, next.counts())
    }
    return counts
  }

  /** By user and room what has come since it was last counted. */
  async #newsOf(
    q: Query,
    given: {
      readonly users: readonly UnreadCountsQuery[]
      readonly quiet: ReadonlyMap<UserId, ReadonlySet<number>>
      readonly tallies: readonly { readonly userId: UserId; readonly tally: UnreadTally }[]
    },
  ): Promise<Map<string, PushNews[]>> {
    const talliesOf = new Map<UserId, UnreadTally[]>()
    for (const { userId, tally } of given.tallies) pushTo(talliesOf, userId, tally)
    const found = await this.#deps.pushActions.listNews(
      q,
      given.users.map(({ userId, ignored }) => {
        const own = talliesOf.get(userId) ?? []
        return {
          userId,
          ignored: [...ignored],
          quiet: given.quiet.get(userId),
          rooms: own.map(({ roomNid, countedTo }) => ({ roomNid, position: countedTo })),
          threads: own.flatMap(({ roomNid, since }) => threadFloors(roomNid, since.reads)),
        }
      }),
    )
    return groupBy(found, ({ userId, roomNid }) => keyOf(userId, roomNid))
  }

  /** Of those with rules of their own, the rooms that these keep quiet. */
  async #quietRooms(
    q: Query,
    users: readonly UnreadCountsQuery[],
    evaluators: ReadonlyMap<UserId, PushEvaluator>,
  ): Promise<Map<UserId, ReadonlySet<number>>> {
    const ruled = users.filter(({ userId }) => evaluators.has(userId))
    const rooms = await this.#deps.rooms.getByNids(q, [...new Set(ruled.flatMap(({ roomNids }) => roomNids))])
    return new Map(
      ruled.map(({ userId, roomNids }) => {
        const evaluator = evaluators.get(userId)!
        const isQuiet = (roomNid: number): boolean => {
          const room = rooms.get(roomNid)
          return room !== undefined && isQuietRoom(evaluator, room)
        }
        return [userId, new Set(roomNids.filter(isQuiet))]
      }),
    )
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

function nothingIn(roomNids: readonly number[]): Map<number, RoomUnreadCounts> {
  return new Map(roomNids.map((roomNid) => [roomNid, NOTHING_UNREAD]))
}
