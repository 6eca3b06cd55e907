import type { Event } from '../../protocol/event.js'
import type { EventId, RoomId, UserId } from '../../protocol/ids.js'
import type { PushEvaluator, PushOutcome } from '../../protocol/push-evaluator.js'
import type { BulkCache, CacheRegistry } from '../../storage/cache-registry.js'
import type { Database } from '../../storage/database.js'
import type { EventPushActionsStore, MemberWithRules } from '../../storage/stores/event-push-actions.js'
import type { PushException } from '../../storage/stores/event-writer.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { ThreadSubscriptionsStore } from '../../storage/stores/thread-subscriptions.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { PushRules } from '../accounts/push-rules.js'
import type { PositionHints, PositionSink } from '../streams/notifier.js'
import type { MemberNames, NamedMember } from './member-names.js'
import { isQuietRoom } from './quiet-rooms.js'

export interface PushAudienceDependencies {
  readonly db: Database
  readonly pushActions: EventPushActionsStore
  readonly caches: CacheRegistry
  readonly pushRules: Pick<PushRules, 'evaluatorsOfChanged' | 'defaultEvaluator'>
  readonly names: Pick<MemberNames, 'find' | 'onNewPosition'>
  /** Who has subscribed to threads. */
  readonly threads: Pick<ThreadSubscriptionsStore, 'listSubscribers'>
}

/** What an event does for a user by the default rules. */
export interface DefaultOutcome {
  readonly notify: boolean
  readonly highlight: boolean
}

/** What is asked of an event beside itself. */
export interface AudienceQuestion {
  readonly defaultFor: (userId: UserId) => DefaultOutcome
  readonly mayNotify: (key: string) => boolean
  /** The root of the thread that it is in, where subscriptions to threads count. */
  readonly threadRoot?: EventId | undefined
}

const QUIET: DefaultOutcome = { notify: false, highlight: false }

/**
 * What push rules must know of the members of rooms: whose rules are not the default ones and where that makes a
 * difference, and what they are called.
 */
export class PushAudience implements PositionSink {
  readonly #deps: PushAudienceDependencies
  /** By room, those who have changed their rules. */
  readonly #members: BulkCache<RoomId, readonly MemberWithRules[]>

  constructor(deps: PushAudienceDependencies) {
    this.#deps = deps
    this.#members = deps.caches.create({ name: 'members_with_push_rules', max: 20_000 })
  }

  /**
   * For whom an event counts otherwise than by the default rules, whose outcome for a user `defaultFor` gives: for those
   * who have not subscribed to its thread, if it is in one. Asks the database nothing in rooms where nobody has changed
   * their rules, once it is known, but who has subscribed to the thread.
   */
  async exceptions(
    room: RoomRecord,
    event: Event,
    { defaultFor, mayNotify, threadRoot }: AudienceQuestion,
  ): Promise<PushException[]> {
    const { db, pushActions, pushRules } = this.#deps
    const subscribers = await this.#subscribersOf(room, threadRoot)
    const all = new Map([...subscribers, ...(await this.#membersOf(room))].map((one) => [one.userId, one]))
    all.delete(event.sender)
    if (all.size === 0) return []
    const evaluators = await pushRules.evaluatorsOfChanged([...all.keys()])
    const memberCount = await pushActions.countMembers(db.reader, room.roomNid)
    const subscribed = new Set(subscribers.map(({ userId }) => userId))
    return [...all.values()].flatMap(({ userId, displayName }) => {
      const isSubscribed = threadRoot === undefined ? undefined : subscribed.has(userId)
      const evaluator =
        evaluators.get(userId) ?? (isSubscribed ? pushRules.defaultEvaluator(userId) : undefined)
      if (evaluator === undefined) return []
      const outcome = evaluator.evaluate(event, { memberCount, displayName, isSubscribed, mayNotify })
      return exceptionOf(userId, { room, evaluator, outcome, usual: defaultFor(userId) })
    })
  }

  /** The members of this server whose names stand in a text. */
  async named(room: RoomRecord, text: string): Promise<NamedMember[]> {
    return this.#deps.names.find(room, text)
  }

  /** Forgets what others have changed: who is in a room, and who has rules of their own. */
  onNewPosition(stream: StreamName, hints: PositionHints): void {
    const { rooms = [], users = [] } = hints
    this.#deps.names.onNewPosition(stream, hints)
    if (stream === 'push_rules') this.#members.clear()
    else if (stream === 'events' && users.length > 0) for (const roomId of rooms) this.#members.delete(roomId)
  }

  async #subscribersOf(room: RoomRecord, rootId: EventId | undefined): Promise<readonly MemberWithRules[]> {
    const { db, threads } = this.#deps
    return rootId === undefined ? [] : threads.listSubscribers(db.reader, { roomNid: room.roomNid, rootId })
  }

  async #membersOf(room: RoomRecord): Promise<readonly MemberWithRules[]> {
    const { db, pushActions } = this.#deps
    const members = await this.#members.get(room.roomId, () =>
      pushActions.listMembersWithRules(db.reader, room.roomNid),
    )
    return members ?? []
  }
}

function exceptionOf(
  userId: UserId,
  found: { room: RoomRecord; evaluator: PushEvaluator; outcome: PushOutcome; usual: DefaultOutcome },
): PushException[] {
  const quiet = isQuietRoom(found.evaluator, found.room)
  const expected = quiet ? QUIET : found.usual
  const { notify, highlight } = found.outcome
  const notifications = Number(notify) - Number(expected.notify)
  const highlights = Number(highlight) - Number(expected.highlight)
  return notifications === 0 && highlights === 0 ? [] : [{ userId, quiet, notifications, highlights }]
}
