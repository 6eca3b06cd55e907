import { LRUCache } from 'lru-cache'
import type { ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { DestinationsStore, FailingDestination } from '../../storage/stores/destinations.js'
import { backoffMs } from '../../util/backoff.js'
import type { Clock, Timer } from '../../util/clock.js'
import { upTo } from '../../util/lru-bounds.js'

/** How long servers that fail are left alone. */
export interface BackoffOptions {
  /** The first attempts follow each other quickly, since most failures are over soon. */
  readonly retries: { readonly count: number; readonly maxDelayMs: number }
  /** After more failures it grows up to `minMs` and then by `factor`. */
  readonly backoff: { readonly minMs: number; readonly factor: number; readonly maxMs: number }
}

export interface DestinationsDependencies {
  readonly db: Database
  readonly store: DestinationsStore
  readonly clock: Clock
  /** Between 0 (inclusive) and 1. */
  readonly random: () => number
  readonly onError: (error: unknown) => void
  readonly options: BackoffOptions
}

/** A request that failed. */
export interface DestinationFailure {
  /** When it began: of requests that failed together only the first counts. */
  readonly startedTs: number
  /** For people. */
  readonly error: string
  /** The server's own word for when to come back. */
  readonly retryAfterMs?: number | undefined
}

/** A destination that answers. */
const WELL = 'well'
type State = FailingDestination | typeof WELL

const MAX_REMEMBERED = 50_000
const FIRST_DELAY_MS = 500
const JITTER = 0.3
/** How often the wishes of operators are looked for. */
const POLL_MS = 15_000
const MAX_REQUESTED = 1000
const MAX_ERROR_LENGTH = 500
/** A server that was not asked anything for so long after it might have been is of no interest any more. */
const KEPT_MS = 30 * 24 * 3_600_000

/**
 * Which servers answer. One that fails is left alone for longer and longer, until it shows a sign of life; the database
 * remembers.
 */
export class Destinations {
  readonly #deps: DestinationsDependencies
  readonly #states = new LRUCache<ServerName, State>(upTo(MAX_REMEMBERED))
  readonly #listeners = new Set<(serverName: ServerName) => void>()
  /** What the database does not know yet. */
  #unwritten = new Map<ServerName, State>()
  #writing: Promise<void> | undefined
  /** For signs of life whose servers are not in memory. */
  readonly #looking = new Set<Promise<void>>()
  #poll: Timer | undefined
  #isStopped = false

  constructor(deps: DestinationsDependencies) {
    this.#deps = deps
  }

  /** Calls `listener` with servers that answer again after they had failed. The result ends that. */
  onAlive(listener: (serverName: ServerName) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** When a server may be asked again; 0 for one that is not known to fail. May be in the past. */
  async retryAtTs(serverName: ServerName): Promise<number> {
    const state = await this.#stateOf(serverName)
    return state === WELL ? 0 : state.retryAtTs
  }

  /** Whether a server may be asked now. */
  async mayTry(serverName: ServerName): Promise<boolean> {
    return (await this.retryAtTs(serverName)) <= this.#deps.clock.now()
  }

  /** Of these servers, those that may be asked now, in their order: one query for all that are not in memory. */
  async filterReachable(serverNames: readonly ServerName[]): Promise<ServerName[]> {
    const unknown = serverNames.filter((serverName) => this.#states.get(serverName) === undefined)
    if (unknown.length > 0) {
      const failing = await this.#deps.store.getMany(this.#deps.db.reader, unknown)
      const byName = new Map(failing.map((destination) => [destination.serverName, destination]))
      for (const serverName of unknown) {
        if (!this.#states.has(serverName)) this.#states.set(serverName, byName.get(serverName) ?? WELL)
      }
    }
    const now = this.#deps.clock.now()
    return serverNames.filter((serverName) => {
      const state = this.#states.get(serverName) ?? WELL
      return state === WELL || state.retryAtTs <= now
    })
  }

  /** How a server fails; undefined when it is not known to. */
  async failureOf(serverName: ServerName): Promise<FailingDestination | undefined> {
    const state = await this.#stateOf(serverName)
    return state === WELL ? undefined : state
  }

  /** The server has answered, or asked something: what was held against it is forgotten. */
  markAlive(serverName: ServerName): void {
    const known = this.#states.get(serverName)
    if (known === WELL) return
    if (known !== undefined) {
      this.#recover(serverName)
      return
    }
    const looking = this.#stateOf(serverName)
      .then((state) => {
        if (state !== WELL) this.#recover(serverName)
      }, this.#deps.onError)
      .finally(() => this.#looking.delete(looking))
    this.#looking.add(looking)
  }

  /** The server has not answered. Resolves with the time at which it may be asked again. */
  async markFailed(serverName: ServerName, failure: DestinationFailure): Promise<number> {
    const { clock } = this.#deps
    const state = await this.#stateOf(serverName)
    const known = state === WELL ? undefined : state
    // Those who do not keep to the time make it no longer for others.
    const isEarly = failure.startedTs < Math.max(known?.lastFailedTs ?? 0, known?.retryAtTs ?? 0)
    if (known !== undefined && isEarly) return known.retryAtTs
    const now = clock.now()
    const failures = (known?.failures ?? 0) + 1
    const delayMs = Math.max(this.#delayMs(failures), failure.retryAfterMs ?? 0)
    const failing: FailingDestination = {
      serverName,
      failures,
      failingSinceTs: known?.failingSinceTs ?? now,
      lastFailedTs: now,
      retryAtTs: now + Math.min(delayMs, this.#deps.options.backoff.maxMs),
      lastError: storable(failure.error),
    }
    this.#set(failing.serverName, failing)
    return failing.retryAtTs
  }

  /** Forgets that a server fails, so that it is tried at once. */
  async reset(serverName: ServerName): Promise<void> {
    if ((await this.#stateOf(serverName)) !== WELL) this.#recover(serverName)
  }

  /** Forgets the failures of servers that nobody has wanted anything of for a month. */
  async forgetUnneeded(): Promise<void> {
    const { db, store, clock } = this.#deps
    await db.write('forget_failing_servers', (tx) => store.deleteUnneeded(tx, clock.now() - KEPT_MS))
  }

  /** Begins to look for what operators wish. */
  start(): void {
    this.#poll = this.#deps.clock.setTimeout(() => {
      this.#takeRequests()
        .catch(this.#deps.onError)
        .finally(() => {
          if (!this.#isStopped) this.start()
        })
    }, POLL_MS)
  }

  /** Resolves when everything is in the database. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#poll?.cancel()
    await Promise.all(this.#looking)
    while (this.#writing !== undefined) await this.#writing
  }

  async #takeRequests(): Promise<void> {
    const { db, store } = this.#deps
    const requested = await store.listRequested(db.reader, MAX_REQUESTED)
    for (const serverName of requested) {
      await this.#stateOf(serverName)
      this.#recover(serverName)
    }
  }

  #recover(serverName: ServerName): void {
    // Somebody else has seen it too.
    if (this.#states.get(serverName) === WELL) return
    this.#set(serverName, WELL)
    for (const listener of this.#listeners) listener(serverName)
  }

  #delayMs(failures: number): number {
    const { retries, backoff } = this.#deps.options
    const { random } = this.#deps
    const quick = { baseMs: FIRST_DELAY_MS, maxMs: retries.maxDelayMs, jitter: JITTER, random }
    if (failures <= retries.count) return backoffMs(failures, quick)
    // Doubles from there to the configured minimum; then the configured factor takes over.
    const start = Math.min(Math.max(retries.maxDelayMs, FIRST_DELAY_MS), backoff.minMs)
    const doublings = start <= 0 ? 0 : Math.ceil(Math.log2(backoff.minMs / start))
    const step = failures - retries.count
    if (step <= doublings) {
      return backoffMs(step + 1, { baseMs: start, maxMs: backoff.minMs, jitter: JITTER, random })
    }
    const { minMs: baseMs, factor, maxMs } = backoff
    return backoffMs(step - doublings, { baseMs, factor, maxMs, jitter: JITTER, random })
  }

  async #stateOf(serverName: ServerName): Promise<State> {
    const known = this.#states.get(serverName)
    if (known !== undefined) return known
    const { db, store } = this.#deps
    const loaded = (await store.get(db.reader, serverName)) ?? WELL
    // Somebody may have found out more meanwhile.
    const newer = this.#states.get(serverName)
    if (newer !== undefined) return newer
    this.#states.set(serverName, loaded)
    return loaded
  }

  #set(serverName: ServerName, state: State): void {
    this.#states.set(serverName, state)
    this.#unwritten.set(serverName, state)
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined))
  }

  /** What changes while one transaction is on its way makes the next. */
  async #write(): Promise<void> {
    await Promise.resolve()
    const { db, store } = this.#deps
    while (this.#unwritten.size > 0) {
      const changes = this.#unwritten
      this.#unwritten = new Map()
      const failing = [...changes.values()].filter((state) => state !== WELL)
      const well = [...changes].flatMap(([serverName, state]) => (state === WELL ? [serverName] : []))
      try {
        await db.write('write_destinations', async (tx) => {
          if (failing.length > 0) await store.put(tx, failing)
          if (well.length > 0) await store.delete(tx, well)
        })
      } catch (error) {
        this.#deps.onError(error)
      }
    }
  }
}

function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '').slice(0, MAX_ERROR_LENGTH).toWellFormed()
}
