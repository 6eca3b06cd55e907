import { AppserviceRefusal, type AppserviceClient } from '../../net/clients/appservice-client.js'
import { ownsUser, type AppserviceRegistration } from '../../protocol/appservice-registration.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type {
  AppserviceState,
  AppservicesStore,
  PendingTransaction,
} from '../../storage/stores/appservices.js'
import type { DeviceInboxStore, InboxAddress } from '../../storage/stores/device-inbox.js'
import type { Logger } from '../../telemetry/logger.js'
import { backoffMs } from '../../util/backoff.js'
import type { Clock, Timer } from '../../util/clock.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { AppserviceTransactions, StreamHeads } from './appservice-transactions.js'

export interface AppserviceQueueDependencies {
  readonly db: Database
  readonly appservices: AppservicesStore
  readonly inbox: Pick<DeviceInboxStore, 'deleteUpTo'>
  readonly transactions: Pick<AppserviceTransactions, 'collect'>
  readonly client: Pick<AppserviceClient, 'sendTransaction'>
  readonly clock: Clock
  readonly logger: Logger
  /** Where all streams are now. */
  readonly heads: () => StreamHeads
}

const BACKOFF = { baseMs: 1_000, maxMs: 10 * 60_000 }
/** A transaction that a service, which can be reached, refuses for so long and so often is put aside. */
const DEAD_AFTER_MS = 24 * 60 * 60_000
const DEAD_AFTER_FAILURES = 20
const MAX_DEAD_LETTERS = 100
/** When nothing concerns a service, it is written down this often that it has been seen. */
const SAVE_EVERY = 5_000

/**
 * Tells one application service what happens, one transaction after the other: the next is made only when the last has
 * been taken, so that a service that is away costs nothing but its place in the streams.
 */
export class AppserviceQueue {
  readonly #deps: AppserviceQueueDependencies
  readonly #registration: AppserviceRegistration
  readonly #stopping = new AbortController()
  #state: AppserviceState | undefined
  /** Ahead of what is written down by what does not concern the service. */
  #positions: StreamHeads | undefined
  #running: Promise<void> | undefined
  #isWoken = false
  /** The next attempt need not wait for its time. */
  #skipsWait = false
  #timer: Timer | undefined

  constructor(registration: AppserviceRegistration, deps: AppserviceQueueDependencies) {
    this.#registration = registration
    this.#deps = deps
  }

  get registration(): AppserviceRegistration {
    return this.#registration
  }

  /** There may be something new. */
  wake(): void {
    if (this.#stopping.signal.aborted) return
    this.#isWoken = true
    this.#running ??= this.#runWoken().finally(() => (this.#running = undefined))
  }

  /** The service is known to be there: what waits for its time is tried now. */
  retryNow(): void {
    this.#skipsWait = true
    this.wake()
  }

  /** Resolves when nothing is being sent. */
  async settle(): Promise<void> {
    while (this.#running) await this.#running
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#timer?.cancel()
    await this.settle()
    if (this.#state !== undefined && this.#isAhead(1)) await this.#save(this.#state)
  }

  async #runWoken(): Promise<void> {
    while (this.#isWoken && !this.#stopping.signal.aborted) {
      this.#isWoken = false
      try {
        await this.#run()
      } catch (err) {
        if (this.#isStopping()) return
        this.#deps.logger.error({ err, appservice: this.#registration.id }, 'Telling a service has failed')
        this.#wakeIn(BACKOFF.maxMs / 60)
        return
      }
    }
  }

  async #run(): Promise<void> {
    let state = this.#state ?? (await this.#load())
    this.#state = state
    while (!this.#stopping.signal.aborted) {
      if (state.pending !== undefined) {
        const wait = (state.retryTs ?? 0) - this.#deps.clock.now()
        const mayGo = wait <= 0 || this.#skipsWait
        this.#skipsWait = false
        if (!mayGo) {
          this.#wakeIn(wait)
          return
        }
        state = this.#state = await this.#send(state, state.pending)
      } else {
        const next = await this.#next(state)
        if (next === undefined) return
        state = this.#state = next
      }
    }
  }

  async #load(): Promise<AppserviceState> {
    const { db, appservices, heads } = this.#deps
    const now = heads()
    const stored = await appservices.getState(db.reader, this.#registration.id)
    const isNew = stored === undefined || Object.keys(stored.positions).length === 0
    const { typing, ...positions } = now
    const state: AppserviceState = isNew
      ? {
          positions,
          lastTxnId: stored?.lastTxnId ?? 0,
          pending: undefined,
          failures: 0,
          failingSinceTs: undefined,
          retryTs: undefined,
          lastSuccessTs: undefined,
          lastError: undefined,
        }
      : stored
    this.#positions = { ...state.positions, typing }
    if (isNew) await this.#save(state)
    return state
  }

  /** A new transaction, written down; undefined when there is nothing to be told. */
  async #next(state: AppserviceState): Promise<AppserviceState | undefined> {
    const { transactions, heads, clock } = this.#deps
    const from = this.#positions ?? { ...state.positions, typing: heads().typing }
    const target = heads()
    if (!isBehind(from, target)) return undefined
    const { body, positions } = await transactions.collect(this.#registration, from, target)
    this.#positions = positions
    if (body === undefined) {
      if (!this.#isAhead(SAVE_EVERY)) return state
      return this.#save(state)
    }
    const txnId = state.lastTxnId + 1
    const pending = { txnId, body: JSON.stringify(body), ts: clock.now() }
    return this.#save({ ...state, lastTxnId: txnId, pending })
  }

  async #send(state: AppserviceState, pending: PendingTransaction): Promise<AppserviceState> {
    const { client, clock, logger } = this.#deps
    const { signal } = this.#stopping
    try {
      await client.sendTransaction(this.#registration, pending, signal)
    } catch (error) {
      if (signal.aborted) return state
      const failed = failedState(state, clock.now(), error)
      if (state.failures === 0) {
        const fields = { err: error, appservice: this.#registration.id, transaction: pending.txnId }
        logger.warn(fields, 'An application service does not take a transaction; it is sent again later')
      }
      return isDead(failed, clock.now(), error) ? this.#bury(failed, pending) : this.#save(failed)
    }
    return this.#finish(pending, {
      ...state,
      pending: undefined,
      failures: 0,
      failingSinceTs: undefined,
      retryTs: undefined,
      lastSuccessTs: clock.now(),
      lastError: undefined,
    })
  }

  /** The transaction has been taken: its messages have reached their devices. */
  async #finish(pending: PendingTransaction, state: AppserviceState): Promise<AppserviceState> {
    const { db, appservices, inbox } = this.#deps
    const { id } = this.#registration
    const devices = await this.#ownDevices(devicesIn(pending))
    await db.write('finish_appservice_transaction', async (tx) => {
      for (const device of devices) await inbox.deleteUpTo(tx, device, state.positions.toDevice)
      await appservices.saveState(tx, id, state)
    })
    return state
  }

  /** Those that nobody but the service reads messages for: people have clients of their own. */
  async #ownDevices(devices: readonly InboxAddress[]): Promise<InboxAddress[]> {
    const { db, appservices } = this.#deps
    const others = devices.filter(({ userId }) => !ownsUser(this.#registration, userId))
    const userIds = [...new Set(others.map(({ userId }) => userId))]
    const registered = await appservices.listRegistered(db.reader, this.#registration.id, userIds)
    return devices.filter(({ userId }) => ownsUser(this.#registration, userId) || registered.has(userId))
  }

  async #bury(state: AppserviceState, pending: PendingTransaction): Promise<AppserviceState> {
    const { db, appservices, logger } = this.#deps
    const { id } = this.#registration
    logger.error(
      { appservice: id, transaction: pending.txnId },
      'A transaction is refused for good: put aside',
    )
    const next = { ...state, pending: undefined, failures: 0, failingSinceTs: undefined, retryTs: undefined }
    await db.write('bury_appservice_transaction', async (tx) => {
      const error = state.lastError ?? ''
      const letter = { appserviceId: id, txnId: pending.txnId, body: pending.body, error, ts: pending.ts }
      await appservices.addDeadLetter(tx, letter, MAX_DEAD_LETTERS)
      await appservices.saveState(tx, id, next)
    })
    return next
  }

  async #save(state: AppserviceState): Promise<AppserviceState> {
    const next = this.#withPositions(state)
    await this.#deps.db.write('save_appservice_state', (tx) =>
      this.#deps.appservices.saveState(tx, this.#registration.id, next),
    )
    return next
  }

  #withPositions(state: AppserviceState): AppserviceState {
    if (this.#positions === undefined) return state
    const { events, receipts, presence, toDevice, deviceLists } = this.#positions
    return { ...state, positions: { events, receipts, presence, toDevice, deviceLists } }
  }

  /** Whether so much has been looked through that it should be written down. */
  #isAhead(by: number): boolean {
    if (this.#positions === undefined || this.#state === undefined) return false
    return this.#positions.events - this.#state.positions.events >= by
  }

  /** Asked for anew after each wait. */
  #isStopping(): boolean {
    return this.#stopping.signal.aborted
  }

  #wakeIn(ms: number): void {
    this.#timer?.cancel()
    this.#timer = this.#deps.clock.setTimeout(() => this.wake(), ms)
  }
}

function isBehind(from: StreamHeads, heads: StreamHeads): boolean {
  return (Object.keys(heads) as (keyof StreamHeads)[]).some((name) => from[name] < heads[name])
}

/** The devices that a transaction has messages for. */
function devicesIn({ body }: PendingTransaction): InboxAddress[] {
  const messages = (JSON.parse(body) as JsonObject)['to_device']
  if (!Array.isArray(messages)) return []
  const devices = new Map<string, InboxAddress>()
  for (const message of messages) {
    if (!isJsonObject(message)) continue
    const { to_user_id: userId, to_device_id: deviceId } = message
    if (typeof userId !== 'string' || typeof deviceId !== 'string') continue
    devices.set(`${userId} ${deviceId}`, { userId: userId as UserId, deviceId: deviceId as DeviceId })
  }
  return [...devices.values()]
}

/** How the errors of those begin that have answered. */
const REFUSED = 'the application service answered'

function failedState(state: AppserviceState, now: number, error: unknown): AppserviceState {
  // A service that is there again is given its time anew.
  const isBack = error instanceof AppserviceRefusal && state.lastError?.startsWith(REFUSED) !== true
  const failures = isBack ? 1 : state.failures + 1
  const detail = error instanceof AppserviceRefusal ? `: ${error.body.slice(0, 500)}` : ''
  return {
    ...state,
    failures,
    failingSinceTs: isBack ? now : (state.failingSinceTs ?? now),
    retryTs: now + backoffMs(failures, BACKOFF),
    lastError: `${error instanceof Error ? error.message : String(error)}${detail}`
      .replaceAll('\u0000', '')
      .toWellFormed(),
  }
}

function isDead(state: AppserviceState, now: number, error: unknown): boolean {
  return (
    error instanceof AppserviceRefusal &&
    state.failures >= DEAD_AFTER_FAILURES &&
    now - (state.failingSinceTs ?? now) >= DEAD_AFTER_MS
  )
}
