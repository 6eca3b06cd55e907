import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { PusherKind, PusherProgress, PusherRecord, PushersStore } from '../../storage/stores/pushers.js'
import type { Logger } from '../../telemetry/logger.js'
import { backoffMs } from '../../util/backoff.js'
import { BatchedLookup } from '../../util/batched-lookup.js'
import { Batcher } from '../../util/batcher.js'
import type { Clock } from '../../util/clock.js'
import type { Badges } from './badges.js'
import type { NotifiedEvents, UserNotification } from './notified-events.js'
import type { PusherDelivery, PusherNews, PusherOutcome } from './pusher-delivery.js'

export interface UserPushesDependencies {
  readonly db: Database
  readonly pushers: PushersStore
  readonly notified: Pick<NotifiedEvents, 'list' | 'listInvitations'>
  readonly badges: Pick<Badges, 'count'>
  readonly deliveries: Readonly<Partial<Record<PusherKind, PusherDelivery>>>
  readonly clock: Pick<Clock, 'now'>
  readonly logger: Logger
}

/** What may be news for a user. */
export interface PushWork {
  /** Of the events stream: everything in these rooms up to here. */
  readonly upTo: number
  /** Undefined: all rooms. */
  readonly roomNids: ReadonlySet<number> | undefined
}

/** Of a room, and of all rooms, in one go: a device that was away for long is told of the newest. */
const MAX_NOTIFICATIONS = 100
const BACKOFF = { baseMs: 1_000, maxMs: 60 * 60_000 }
/** What cannot be told for this long is given up, one notification after another. */
const GIVE_UP_MS = 24 * 60 * 60_000
const MAX_BATCH = 500

/** Tells the pushers of one user after another what is new. Where each has got to is kept in the database. */
export class UserPushes {
  readonly #deps: UserPushesDependencies
  readonly #progress: Batcher<PusherProgress & { readonly pusherId: number }>
  readonly #pushers: BatchedLookup<UserId, PusherRecord[]>

  constructor(deps: UserPushesDependencies) {
    this.#deps = deps
    this.#progress = new Batcher(
      (pushers) => deps.db.write('save_pushers', (tx) => deps.pushers.saveProgress(tx, pushers)),
      { maxItems: MAX_BATCH },
    )
    this.#pushers = new BatchedLookup((userIds) => this.#listPushers(userIds), { maxItems: MAX_BATCH })
  }

  /**
   * Resolves when all the user's pushers have been told, or it is written down when they are to be tried again: then to
   * true.
   */
  async run(userId: UserId, work: PushWork, signal: AbortSignal): Promise<boolean> {
    const { badges, clock } = this.#deps
    const all = (await this.#pushers.get(userId)) ?? []
    const now = clock.now()
    const ready = all.filter(
      ({ isEnabled, kind, retryTs, failures }) =>
        isEnabled &&
        this.#deps.deliveries[kind] !== undefined &&
        // What waits for the time of a mail may have been read meanwhile.
        ((kind === 'email' && failures === 0) || (retryTs ?? 0) <= now),
    )
    if (ready.length === 0) return false
    const news = await this.#newsFor(userId, ready, work)
    const badge = await badges.count(userId)
    const putOff = await Promise.all(
      ready.map((pusher) => {
        const notifications = news.filter(({ position }) => position > pusher.position)
        return this.#deliver(pusher, { notifications, badge, upTo: work.upTo }, signal)
      }),
    )
    return putOff.includes(true)
  }

  async #listPushers(userIds: readonly UserId[]): Promise<Map<UserId, PusherRecord[]>> {
    const byUser = new Map<UserId, PusherRecord[]>(userIds.map((userId) => [userId, []]))
    for (const pusher of await this.#deps.pushers.listOfHolders(this.#deps.db, userIds)) {
      byUser.get(pusher.userId)?.push(pusher)
    }
    return byUser
  }

  /** Unread, the oldest first. */
  async #newsFor(
    userId: UserId,
    pushers: readonly PusherRecord[],
    { upTo, roomNids }: PushWork,
  ): Promise<UserNotification[]> {
    const after = Math.min(...pushers.map(({ position }) => position))
    if (after >= upTo) return []
    // Those that were not told the last time may have missed something in any room.
    const isComplete = pushers.some(({ retryTs, kind }) => retryTs !== undefined || kind === 'email')
    const events = await this.#deps.notified.list(userId, {
      after,
      upTo,
      limit: MAX_NOTIFICATIONS,
      ...(roomNids !== undefined && !isComplete && { roomNids }),
    })
    const invitations = await this.#deps.notified.listInvitations(userId, { after, upTo })
    return [...events, ...invitations]
      .filter(({ isRead }) => !isRead)
      .toSorted((a, b) => a.position - b.position)
  }

  async #deliver(pusher: PusherRecord, news: PusherNews, signal: AbortSignal): Promise<boolean> {
    const delivery = this.#deps.deliveries[pusher.kind]
    if (delivery === undefined) return false
    const outcome = await delivery.deliver(pusher, news, signal)
    // Cut off by the stop of the server: it will be told the next time.
    if (outcome.kind === 'failed' && signal.aborted) return false
    if (outcome.kind === 'rejected') {
      await this.#remove(pusher)
      return false
    }
    const progress = this.#progressOf(pusher, news, outcome)
    if (hasChanged(pusher, progress)) await this.#progress.add({ ...progress, pusherId: pusher.pusherId })
    return progress.retryTs !== undefined
  }

  #progressOf(
    pusher: PusherRecord,
    { upTo, notifications }: PusherNews,
    outcome: Exclude<PusherOutcome, { kind: 'rejected' }>,
  ): PusherProgress {
    const now = this.#deps.clock.now()
    const { position, badge, lastSuccessTs } = pusher
    if (outcome.kind === 'later') return { ...progressOf(pusher), retryTs: outcome.dueTs }
    if (outcome.kind === 'done') {
      return {
        position: Math.max(position, upTo),
        badge: outcome.badge,
        failures: 0,
        failingSinceTs: undefined,
        retryTs: undefined,
        lastSuccessTs: now,
      }
    }
    const failingSinceTs = pusher.failingSinceTs ?? now
    const failures = pusher.failures + 1
    if (failures === 1) {
      const fields = { err: outcome.error, user: pusher.userId, app: pusher.appId }
      this.#deps.logger.info(fields, 'A pusher cannot be told; it is tried again later')
    }
    if (now - failingSinceTs < GIVE_UP_MS) {
      const retryTs = now + backoffMs(failures, BACKOFF)
      return { position: outcome.position, badge, failures, failingSinceTs, retryTs, lastSuccessTs }
    }
    const given = notifications.find((notification) => notification.position > outcome.position)
    return {
      position: given?.position ?? Math.max(position, upTo),
      badge,
      failures: 1,
      failingSinceTs: now,
      retryTs: now + backoffMs(1, BACKOFF),
      lastSuccessTs,
    }
  }

  async #remove(pusher: PusherRecord): Promise<void> {
    const { db, pushers, logger } = this.#deps
    logger.info(
      { user: pusher.userId, app: pusher.appId },
      'A push gateway rejects a key: the pusher is removed',
    )
    await db.write('remove_rejected_pusher', (tx) => pushers.delete(tx, pusher))
  }
}

function progressOf(pusher: PusherRecord): PusherProgress {
  const { position, badge, failures, failingSinceTs, retryTs, lastSuccessTs } = pusher
  return { position, badge, failures, failingSinceTs, retryTs, lastSuccessTs }
}

/** When it was last told is worth no write. */
function hasChanged(pusher: PusherRecord, progress: PusherProgress): boolean {
  return (
    pusher.position !== progress.position ||
    pusher.badge !== progress.badge ||
    pusher.failures !== progress.failures ||
    pusher.retryTs !== progress.retryTs
  )
}
