import { MatrixError, notFound } from '../../protocol/errors.js'
import type { EventId, RoomId, UserId } from '../../protocol/ids.js'
import { tryParseSlidingPos } from '../../protocol/sliding-pos.js'
import type { Database } from '../../storage/database.js'
import type {
  ThreadSubscription,
  ThreadSubscriptionChange,
  ThreadSubscriptionsStore,
} from '../../storage/stores/thread-subscriptions.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { JsonObject } from '../../util/json.js'
import type { ReadableEvents } from '../events/readable-events.js'
import type { PositionSink } from '../streams/notifier.js'

interface Parts {
  readonly db: Database
  readonly store: ThreadSubscriptionsStore
  readonly readable: Pick<ReadableEvents, 'require'>
  readonly streamIds: Pick<StreamIdGenerator, 'allocate' | 'position'>
  readonly eventsPosition: () => number
  readonly positions: PositionSink
}

/** Changes of subscriptions, and whether there are older ones. */
export interface SubscriptionPage {
  readonly changes: readonly ThreadSubscriptionChange[]
  /** Older changes are at or below this; undefined: there are none in the range. */
  readonly next: number | undefined
}

const THREAD = 'm.thread'

/**
 * Which threads people want to be notified of.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4306
 */
export class ThreadSubscriptions {
  readonly #parts: Parts
  /** `msc4306_enabled`. */
  readonly isEnabled: boolean

  constructor(parts: Parts, options: { readonly isEnabled: boolean }) {
    this.#parts = parts
    this.isEnabled = options.isEnabled
  }

  /** The position of the last change. */
  position(): number {
    return this.#parts.streamIds.position()
  }

  /** Throws `M_NOT_FOUND` where there is no such thread for the user, and where they have not subscribed to it. */
  async require(userId: UserId, roomId: RoomId, rootId: EventId): Promise<{ isAutomatic: boolean }> {
    const roomNid = await this.#requireRoot(userId, roomId, rootId)
    const subscription = await this.#parts.store.get(this.#parts.db.reader, { userId, roomNid, rootId })
    if (!subscription?.isSubscribed) throw notFound('Not subscribed to this thread')
    return subscription
  }

  /**
   * Subscribes a user. `cause`: the event of the thread on account of which their client does so by itself; it is refused
   * with 409 when they have unsubscribed after that event, and with 400 when the event is not in the thread.
   */
  async subscribe(
    userId: UserId,
    { roomId, rootId, cause }: { roomId: RoomId; rootId: EventId; cause: EventId | undefined },
  ): Promise<void> {
    const roomNid = await this.#requireRoot(userId, roomId, rootId)
    const causePosition =
      cause === undefined ? undefined : await this.#requireCause(userId, { roomId, rootId, cause })
    const isAutomatic = causePosition !== undefined
    await this.#change({ userId, roomNid, rootId }, (known) => {
      // What they have chosen themselves is not overruled by their client.
      if (known?.isSubscribed && (!known.isAutomatic || isAutomatic)) return undefined
      if (isAutomatic && known?.unsubscribedAt !== undefined && causePosition <= known.unsubscribedAt)
        throw new MatrixError(
          'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION',
          'The user has unsubscribed after that event',
        )
      return { isSubscribed: true, isAutomatic, unsubscribedAt: undefined }
    })
  }

  async unsubscribe(userId: UserId, roomId: RoomId, rootId: EventId): Promise<void> {
    const roomNid = await this.#requireRoot(userId, roomId, rootId)
    const unsubscribedAt = this.#parts.eventsPosition()
    await this.#change({ userId, roomNid, rootId }, (known) =>
      known?.isSubscribed ? { ...known, isSubscribed: false, unsubscribedAt } : undefined,
    )
  }

  /** The newest `limit` changes in `(from, to]`. */
  async listChanges(
    userId: UserId,
    range: { from: number; to: number; limit: number },
  ): Promise<SubscriptionPage> {
    if (range.from >= range.to) return { changes: [], next: undefined }
    const changes = await this.#parts.store.listChanges(this.#parts.db.reader, userId, range)
    const oldest = changes.at(-1)
    const next = oldest !== undefined && changes.length === range.limit ? oldest.streamId - 1 : undefined
    return { changes, next }
  }

  /**
   * The newest changes before one token and after another (`to` may be a position of sliding sync too), as clients are
   * given them; undefined for what is no token.
   */
  async listPage(
    userId: UserId,
    { from, to, limit }: { from: string | undefined; to: string | undefined; limit: number },
  ): Promise<JsonObject | undefined> {
    const end = from === undefined ? this.position() : tryParseSubscriptionsToken(from)
    const start = to === undefined ? 0 : (tryParseSubscriptionsToken(to) ?? tryParseSlidingPos(to)?.threads)
    if (start === undefined || end === undefined) return undefined
    const { changes, next } = await this.listChanges(userId, { from: start, to: end, limit })
    return {
      ...subscriptionsJson(changes),
      ...(next !== undefined && { end: formatSubscriptionsToken(next) }),
    }
  }

  async #requireRoot(userId: UserId, roomId: RoomId, rootId: EventId): Promise<number> {
    const { stored } = await this.#parts.readable.require(userId, roomId, rootId)
    return stored.roomNid
  }

  /** Where in the events stream the cause of a subscription is. */
  async #requireCause(
    userId: UserId,
    { roomId, rootId, cause }: { roomId: RoomId; rootId: EventId; cause: EventId },
  ): Promise<number> {
    const { stored } = await this.#parts.readable.require(userId, roomId, cause)
    if (stored.relType !== THREAD || stored.relatesTo !== rootId)
      throw new MatrixError('IO.ELEMENT.MSC4306.M_NOT_IN_THREAD', 'The event is not in this thread')
    return stored.streamOrdering ?? 0
  }

  /** `decide` gives what holds from now on; undefined: what does already. It may be called again. */
  async #change(
    key: { userId: UserId; roomNid: number; rootId: EventId },
    decide: (known: ThreadSubscription | undefined) => ThreadSubscription | undefined,
  ): Promise<void> {
    const { db, store, streamIds, positions } = this.#parts
    await db.write('change_thread_subscription', async (tx) => {
      const next = decide(await store.get(tx, key))
      if (next === undefined) return
      const [streamId = 0] = await streamIds.allocate(tx, 1)
      await store.put(tx, key, { ...next, streamId })
      tx.afterCommit(() => positions.onNewPosition('thread_subscriptions', { users: [key.userId] }))
    })
  }
}

/** Subscriptions by room and root, as clients are given them. */
export function subscriptionsJson(changes: readonly ThreadSubscriptionChange[]): JsonObject {
  const subscribed: Record<string, JsonObject> = {}
  const unsubscribed: Record<string, JsonObject> = {}
  for (const { roomId, rootId, isSubscribed, isAutomatic, streamId } of changes) {
    const rooms = isSubscribed ? subscribed : unsubscribed
    rooms[roomId] = {
      ...rooms[roomId],
      [rootId]: { ...(isSubscribed && { automatic: isAutomatic }), bump_stamp: streamId },
    }
  }
  return {
    ...(Object.keys(subscribed).length > 0 && { subscribed }),
    ...(Object.keys(unsubscribed).length > 0 && { unsubscribed }),
  }
}

const TOKEN = /^ts(\d{1,15})$/

/** A place among the changes of subscriptions, as text. */
export function formatSubscriptionsToken(position: number): string {
  return `ts${position}`
}

/** Undefined for anything else. */
function tryParseSubscriptionsToken(text: string): number | undefined {
  const match = TOKEN.exec(text)
  return match ? Number(match[1]) : undefined
}
