import type { Database, Tx } from '../database.js'
import { openIdSources, type IdSource, type SequenceOptions } from './sequences.js'

export interface StreamOptions extends SequenceOptions {
  /** The name of this process among those that write the stream. */
  readonly instance?: string
}

/** A transaction that has asked for ids and has not ended. */
interface Allocation {
  /** Own positions stay at or below: at first what was seen when it asked, then the id before its first. */
  ceiling: number
  /** Its last id, once it has any. */
  last: number
}

/**
 * The positions of one stream in one process. A position is never shown before everything at or below it is committed:
 * ids are handed out in transactions that commit in any order, so the position stops before the first unfinished one.
 */
export class StreamIdGenerator {
  readonly #source: IdSource
  readonly #instance: string
  readonly #allocations = new Set<Allocation>()
  readonly #remote = new Map<string, number>()
  readonly #listeners = new Set<(position: number) => void>()
  readonly #waiters = new Set<{ readonly position: number; resolve(): void }>()
  /** The largest id known to have been handed out by anybody. */
  #maxSeen: number
  #own: number
  #min: number

  constructor(source: IdSource, instance = 'master') {
    this.#source = source
    this.#instance = instance
    this.#maxSeen = source.last
    this.#own = source.last
    this.#min = source.last
  }

  static async open(db: Database, options: StreamOptions): Promise<StreamIdGenerator> {
    const { one } = await openIdSources(db, { one: options })
    return new StreamIdGenerator(one, options.instance)
  }

  /**
   * The next `count` ids, ascending, for rows that this transaction inserts: ask as late as possible. They are finished
   * when the transaction ends, whichever way.
   */
  async allocate(tx: Tx, count: number): Promise<number[]> {
    // What is handed out from here on is larger than all that was seen, so the position may go up to that much.
    const allocation: Allocation = { ceiling: this.#maxSeen, last: 0 }
    this.#allocations.add(allocation)
    const finish = (): void => {
      this.#finish(allocation)
    }
    tx.afterCommit(finish)
    tx.afterRollback(finish)
    const ids = await this.#source.next(tx, count)
    allocation.ceiling = (ids[0] ?? allocation.ceiling + 1) - 1
    allocation.last = ids.at(-1) ?? 0
    this.#maxSeen = Math.max(this.#maxSeen, allocation.last)
    return ids
  }

  /** Everything at or below this is committed, by all writers. Only grows. */
  position(): number {
    return this.#min
  }

  /** Of each writer: everything that it wrote at or below is committed. */
  positions(): ReadonlyMap<string, number> {
    return new Map([...this.#remote, [this.#instance, this.#own]])
  }

  /** The position of this process as a writer: what it tells the others. */
  ownPosition(): number {
    return this.#own
  }

  /** Another writer says where it is. */
  onRemotePosition(instance: string, position: number): void {
    const known = this.#remote.get(instance)
    this.#remote.set(instance, Math.max(known ?? 0, position))
    this.#maxSeen = Math.max(this.#maxSeen, position)
    this.#advance()
  }

  /** Calls `fn` with `position()` whenever that has grown. Returns a function that ends it. */
  onAdvance(fn: (position: number) => void): () => void {
    this.#listeners.add(fn)
    return () => {
      this.#listeners.delete(fn)
    }
  }

  /** Resolves once `position()` has reached a position; rejects with the signal's reason when it aborts first. */
  waitUntil(position: number, signal?: AbortSignal): Promise<void> {
    if (position <= this.#min) return Promise.resolve()
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error)
        return
      }
      const onAbort = (): void => {
        this.#waiters.delete(waiter)
        reject(signal?.reason as Error)
      }
      const waiter = {
        position,
        resolve: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      this.#waiters.add(waiter)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  #finish(allocation: Allocation): void {
    this.#allocations.delete(allocation)
    this.#advance()
  }

  #advance(): void {
    let own = this.#maxSeen
    for (const { ceiling } of this.#allocations) own = Math.min(own, ceiling)
    this.#own = Math.max(this.#own, own)
    let min = this.#own
    for (const position of this.#remote.values()) min = Math.min(min, position)
    if (min <= this.#min) return
    this.#min = min
    for (const waiter of this.#waiters) {
      if (waiter.position > min) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
    for (const listener of this.#listeners) listener(min)
  }
}
