import { LRUCache } from 'lru-cache'
import { limitExceeded } from '../../protocol/errors.js'
import type { Clock } from '../../util/clock.js'

/** Counts attempts by key and says when there were too many: a section of `ratelimiting`. */
export interface AttemptLimiter {
  /** Counts one attempt; throws `M_LIMIT_EXCEEDED`, and counts nothing, when it is one too many. */
  consume(key: string): void
  /** Takes back one attempt that turned out not to count. */
  refund(key: string): void
}

/** `burst_count` attempts at once, and `per_second` more as time goes by. */
export interface AttemptRate {
  readonly perSecond: number
  readonly burstCount: number
}

interface Bucket {
  level: number
  ts: number
}

/** Keys that are remembered; the least used go first. */
const MAX_KEYS = 50_000

/** Leaky buckets, one a key: each attempt adds one to the level, which sinks with time. */
export class BucketAttemptLimiter implements AttemptLimiter {
  readonly #clock: Clock
  readonly #rate: AttemptRate
  readonly #buckets = new LRUCache<string, Bucket>({ max: MAX_KEYS })

  constructor(clock: Clock, rate: AttemptRate) {
    this.#clock = clock
    this.#rate = rate
  }

  consume(key: string): void {
    const level = this.#level(key) + 1
    const excess = level - this.#rate.burstCount
    if (excess > 0)
      throw limitExceeded(this.#rate.perSecond > 0 ? (excess / this.#rate.perSecond) * 1000 : ONE_DAY_MS)
    this.#buckets.set(key, { level, ts: this.#clock.now() })
  }

  refund(key: string): void {
    const level = this.#level(key) - 1
    if (level <= 0) this.#buckets.delete(key)
    else this.#buckets.set(key, { level, ts: this.#clock.now() })
  }

  #level(key: string): number {
    const bucket = this.#buckets.get(key)
    if (bucket === undefined) return 0
    const sunk = ((this.#clock.now() - bucket.ts) / 1000) * this.#rate.perSecond
    return Math.max(0, bucket.level - sunk)
  }
}

/** What to tell those who would wait for ever. */
const ONE_DAY_MS = 24 * 60 * 60 * 1000
