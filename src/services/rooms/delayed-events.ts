import { LRUCache } from 'lru-cache'
import { forbidden, limitExceeded, MatrixError, invalidParam, notFound } from '../../protocol/errors.js'
import type { RoomId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { DelayedEvent, DelayedEventsStore } from '../../storage/stores/delayed-events.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { Clock, Timer } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import { upTo } from '../../util/lru-bounds.js'
import { randomToken } from '../../util/random.js'
import type { RateLimits } from '../accounts/ratelimits.js'
import type { Requester } from '../accounts/requester.js'
import { checkNotSuspended } from '../accounts/suspension.js'
import type { RoomState } from '../events/room-state.js'
import type { RoomSending } from './room-sending.js'

/** An event as a client wants it to be sent later. */
export interface DelayedEventInput {
  readonly roomId: RoomId
  readonly type: string
  /** Undefined for what is no state. */
  readonly stateKey?: string
  readonly content: JsonObject
  readonly ts: number | undefined
  readonly stickyMs?: number | undefined
  readonly delayMs: number
  /** Of requests that have one: the same gives the same event. */
  readonly txnId?: string
}

export type DelayedEventAction = 'cancel' | 'restart' | 'send'

export interface DelayedEventsOptions {
  /** `max_event_delay_duration`; undefined: nothing is sent later. */
  readonly maxDelayMs: number | undefined
  /** `msc4140_max_delayed_events_per_user` */
  readonly maxPerUser: number
}

interface Parts {
  readonly db: Database
  readonly clock: Clock
  readonly store: DelayedEventsStore
  readonly users: Pick<UsersStore, 'get'>
  readonly roomState: Pick<RoomState, 'requireRoom' | 'getMembership'>
  readonly sending: Pick<RoomSending, 'sendMessage' | 'setState'>
  readonly rateLimits: Pick<RateLimits, 'consume' | 'consumeFor' | 'refund'>
  readonly eventsPosition: () => number
  readonly onError: (error: unknown) => void
}

const MEMBER = 'm.room.member'
const MAX_TXNS = 10_000
const MAX_BATCH = 100
/** Timers of the platform cannot be set further ahead. */
const MAX_TIMER_MS = 2_000_000_000

/**
 * Events that are sent later unless their sender says otherwise, so that others hear of it when a client goes away.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4140
 */
export class DelayedEvents {
  readonly #parts: Parts
  readonly #options: DelayedEventsOptions
  /** What a transaction has scheduled. */
  readonly #txns = new LRUCache<string, Promise<string>>(upTo(MAX_TXNS))
  #timer: Timer | undefined
  #timerTs = Infinity
  #sending: Promise<void> | undefined
  #stopped = false

  constructor(parts: Parts, options: DelayedEventsOptions) {
    this.#parts = parts
    this.#options = options
  }

  get isEnabled(): boolean {
    return this.#options.maxDelayMs !== undefined && this.#options.maxPerUser > 0
  }

  /** Takes up what the last stop has left; what should have been sent meanwhile is sent now. */
  async start(): Promise<void> {
    const { db, store } = this.#parts
    await db.write('resume_delayed_events', (tx) => store.putBack(tx))
    await this.#schedule()
  }

  /** Sends nothing more; resolves when what is being sent is. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#sending
  }

  /**
   * Schedules an event; gives the ID by which it can be cancelled, by anybody who knows it. Throws `M_FORBIDDEN` where
   * that is switched off and for those who are not in the room, `M_UNKNOWN` with `M_MAX_DELAY_EXCEEDED` for a delay that
   * is too long, `M_USER_SUSPENDED`, `M_LIMIT_EXCEEDED` for who has scheduled too many.
   */
  async add(requester: Requester, input: DelayedEventInput): Promise<string> {
    const { txnId } = input
    if (txnId === undefined) return this.#add(requester, input)
    const key = txnKeyOf(requester, { ...input, txnId })
    const known = this.#txns.get(key)
    if (known !== undefined) return known
    const added = this.#add(requester, input)
    this.#txns.set(key, added)
    added.catch(() => this.#txns.delete(key))
    return added
  }

  /** The ID of what a transaction has scheduled already. */
  findAdded(requester: Requester, transaction: Transaction): Promise<string> | undefined {
    return this.#txns.get(txnKeyOf(requester, transaction))
  }

  /** What a user has scheduled, as clients are given it. */
  async list(requester: Requester): Promise<JsonObject[]> {
    const { db, store, rateLimits } = this.#parts
    await rateLimits.consumeFor(requester, 'delayedEventManagement')
    const events = await store.listForUser(db.reader, requester.userId)
    return events.map(toJson)
  }

  /** One of those. Throws `M_NOT_FOUND`, for what others have scheduled too. */
  async get(requester: Requester, delayId: string): Promise<JsonObject> {
    const event = (await this.list(requester)).find(({ delay_id: id }) => id === delayId)
    if (event === undefined) throw missing()
    return event
  }

  /**
   * Cancels an event, lets its delay begin again, or sends it now. `requester` may be anybody who knows the ID, and
   * nobody. Throws `M_NOT_FOUND` for what is not there, or has been sent or cancelled, and what sending throws: then the
   * event goes on waiting for its time.
   */
  async update(
    delayId: string,
    action: DelayedEventAction,
    caller: { readonly requester: Requester | undefined; readonly ip: string },
  ): Promise<void> {
    await this.#limit(caller)
    const { db, store, clock } = this.#parts
    if (delayId === '' || !delayId.isWellFormed()) throw missing()
    if (action === 'send') return this.#sendNow(delayId)
    const done = await db.write('update_delayed_event', async (tx) => {
      await store.deleteOvertaken(tx, { delayId })
      return action === 'cancel' ? store.cancel(tx, delayId) : store.restart(tx, delayId, clock.now())
    })
    if (!done) throw missing()
    // Whoever waits too early for it looks again.
  }

  async #add(requester: Requester, input: DelayedEventInput): Promise<string> {
    const { db, store, clock, roomState, rateLimits, eventsPosition } = this.#parts
    const { userId, deviceId } = requester
    this.#checkDelay(input.delayMs)
    checkNotSuspended(requester)
    await rateLimits.consumeFor(requester, 'message')
    const room = await roomState.requireRoom(input.roomId)
    const member = await roomState.getMembership(input.roomId, userId)
    if (member?.membership !== 'join' && input.type !== MEMBER) throw forbidden('You are not in this room')
    const delayId = randomToken()
    const runningSince = clock.now()
    const { type, stateKey, content, ts, stickyMs, delayMs } = input
    const event = { delayId, userId, deviceId, type, stateKey, content, ts, stickyMs, delayMs, runningSince }
    await db.write('add_delayed_event', async (tx) => {
      const { count, firstTs = runningSince } = await store.count(tx, userId)
      if (count >= this.#options.maxPerUser) throw limitExceeded(firstTs - runningSince)
      await store.insert(tx, { ...event, roomNid: room.roomNid }, eventsPosition())
    })
    this.#wakeAt(runningSince + delayMs)
    return delayId
  }

  #checkDelay(delayMs: number): void {
    const { maxDelayMs } = this.#options
    if (!this.isEnabled || maxDelayMs === undefined)
      throw forbidden('Events are not sent later on this server')
    if (delayMs < 0) throw invalidParam('The delay must not be negative')
    if (delayMs <= maxDelayMs) return
    throw new MatrixError('M_UNKNOWN', `The delay may be ${maxDelayMs} milliseconds`, {
      status: 400,
      fields: {
        'org.matrix.msc4140.errcode': 'M_MAX_DELAY_EXCEEDED',
        'org.matrix.msc4140.max_delay': maxDelayMs,
      },
    })
  }

  async #limit({ requester, ip }: { requester: Requester | undefined; ip: string }): Promise<void> {
    const { rateLimits } = this.#parts
    if (requester !== undefined) await rateLimits.consumeFor(requester, 'delayedEventManagement')
    else rateLimits.consume('delayedEventManagement', ip)
  }

  async #sendNow(delayId: string): Promise<void> {
    const { db, store } = this.#parts
    const event = await db.write('take_delayed_event', async (tx) => {
      await store.deleteOvertaken(tx, { delayId })
      return store.take(tx, delayId)
    })
    if (event === undefined) throw missing()
    try {
      await this.#deliver(event)
    } catch (error) {
      await db.write('keep_delayed_event', (tx) => store.keep(tx, delayId))
      this.#wakeAt(event.runningSince + event.delayMs)
      throw error
    }
    await db.write('delete_delayed_event', (tx) => store.deleteTaken(tx, delayId))
  }

  #wakeAt(ts: number): void {
    if (this.#stopped || ts >= this.#timerTs) return
    this.#timer?.cancel()
    this.#timerTs = ts
    const delay = Math.min(Math.max(0, ts - this.#parts.clock.now()), MAX_TIMER_MS)
    this.#timer = this.#parts.clock.setTimeout(() => {
      this.#timerTs = Infinity
      this.#sending = (this.#sending ?? Promise.resolve())
        .then(() => this.#sendDue())
        .catch((error: unknown) => this.#parts.onError(error))
    }, delay)
  }

  async #schedule(): Promise<void> {
    const { db, store } = this.#parts
    const next = await store.nextSendTs(db.reader)
    if (next !== undefined) this.#wakeAt(next)
  }

  /** In the order of their times, one after the other: what is to come first comes first. */
  async #sendDue(): Promise<void> {
    const { db, store, clock } = this.#parts
    while (!this.#stopped) {
      const dueTs = clock.now()
      const events = await db.write('take_due_delayed_events', async (tx) => {
        await store.deleteOvertaken(tx, { dueTs })
        return store.takeDue(tx, dueTs, MAX_BATCH)
      })
      for (const event of events) {
        await this.#send(event).catch((error: unknown) => {
          // Whoever may not send it any more is not told: nobody waits for an answer.
          if (!(error instanceof MatrixError)) this.#parts.onError(error)
        })
      }
      if (events.length < MAX_BATCH) break
    }
    await this.#schedule()
  }

  /** Sends a taken event and forgets it, also when it cannot be sent; who has sent too much waits. */
  async #send(event: DelayedEvent): Promise<void> {
    const { db, store, clock } = this.#parts
    const { delayId } = event
    try {
      await this.#deliver(event)
    } catch (error) {
      if (!(error instanceof MatrixError) || error.errcode !== 'M_LIMIT_EXCEEDED') throw error
      const retryMs = Number(error.fields?.['retry_after_ms'] ?? 0)
      await db.write('postpone_delayed_event', (tx) => store.postpone(tx, delayId, clock.now() + retryMs))
      return
    } finally {
      await db.write('delete_delayed_event', (tx) => store.deleteTaken(tx, delayId))
    }
  }

  async #deliver(event: DelayedEvent): Promise<void> {
    const { sending, rateLimits } = this.#parts
    const { delayId, userId, roomId, type, stateKey, content, ts, stickyMs } = event
    const requester = await this.#requesterOf(event)
    // It was counted when it was scheduled.
    rateLimits.refund('message', userId)
    const input = { roomId, type, content, ts, stickyMs, delayId }
    if (stateKey === undefined) await sending.sendMessage(requester, { ...input, txnId: delayId })
    else await sending.setState(requester, { ...input, stateKey })
  }

  /** Throws `M_FORBIDDEN` for accounts that are no more. */
  async #requesterOf({ userId, deviceId }: DelayedEvent): Promise<Requester> {
    const user = await this.#parts.users.get(this.#parts.db.reader, userId)
    if (user === undefined || user.isDeactivated) throw forbidden('The account is no more')
    const { isGuest, isAdmin, isShadowBanned, isSuspended, isLocked } = user
    return {
      userId,
      deviceId,
      isGuest,
      isAdmin,
      isShadowBanned,
      isSuspended,
      isLocked,
      tokenId: undefined,
      appserviceId: undefined,
    }
  }
}

interface Transaction {
  readonly roomId: RoomId
  readonly type: string
  readonly txnId: string
}

function txnKeyOf(requester: Requester, { roomId, type, txnId }: Transaction): string {
  const { userId, deviceId, tokenId, tokenHash } = requester
  return [userId, deviceId ?? `#${tokenId ?? tokenHash ?? ''}`, roomId, type, txnId].join('\u0000')
}

function missing(): MatrixError {
  return notFound('There is no such delayed event (any more)')
}

function toJson({
  delayId,
  roomId,
  type,
  stateKey,
  delayMs,
  runningSince,
  content,
}: DelayedEvent): JsonObject {
  return {
    delay_id: delayId,
    room_id: roomId,
    type,
    ...(stateKey !== undefined && { state_key: stateKey }),
    // The first two are what an earlier draft called the others.
    delay: delayMs,
    running_since: runningSince,
    delay_ms: delayMs,
    scheduled_at: runningSince,
    content,
  }
}
