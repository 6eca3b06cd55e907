import type { Clock } from './clock.js'

/** `burstCount` units at once, and `perSecond` more as time goes by. */
export interface BucketRate {
  readonly perSecond: number
  readonly burstCount: number
}

interface Bucket {
  level: number
  ts: number
}

export interface LeakyBucketsOptions extends BucketRate {
  readonly clock: Pick<Clock, 'now'>
  /** Keys that are remembered; the least recently used go first. */
  readonly maxKeys?: number
}

const DEFAULT_MAX_KEYS = 50_000
/** What to tell those who would wait for ever. */
const NEVER_MS = 24 * 60 * 60 * 1000
/** So that rounding of fractions does not refuse what is due exactly now. */
const EPSILON = 1e-9

/**
 * Leaky buckets, one a key: what is taken raises the level, which sinks with time. Keys whose level is zero are
 * forgotten.
 */
export class LeakyBuckets {
  readonly #clock: Pick<Clock, 'now'>
  readonly #maxKeys: number
  /** In the order of their last use. */
  readonly #buckets = new Map<string, Bucket>()
  #rate: BucketRate

  constructor(options: LeakyBucketsOptions) {
    this.#clock = options.clock
    this.#maxKeys = options.maxKeys ?? DEFAULT_MAX_KEYS
    this.#rate = options
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#buckets.size
  }

  /** From now on; levels remain. */
  setRate(rate: BucketRate): void {
    this.#rate = rate
  }

  /**
   * Takes `cost` units. Gives 0 when they were there, else takes nothing and gives the milliseconds after which they
   * will be.
   */
  take(key: string, cost = 1): number {
    const waitMs = this.peek(key, cost)
    if (waitMs === 0) this.#set(key, this.#level(key) + cost)
    return waitMs
  }

  /** What `take` would give; takes nothing. */
  peek(key: string, cost = 1): number {
    const excess = this.#level(key) + cost - this.#rate.burstCount
    if (excess <= EPSILON) return 0
    if (this.#rate.perSecond <= 0 || cost > this.#rate.burstCount) return NEVER_MS
    return Math.max(1, Math.ceil((excess / this.#rate.perSecond) * 1000))
  }

  /** Gives back what was taken and turned out not to count. */
  refund(key: string, cost = 1): void {
    const level = this.#level(key) - cost
    if (level <= 0) this.#buckets.delete(key)
    else this.#set(key, level)
  }

  #level(key: string): number {
    const bucket = this.#buckets.get(key)
    return bucket === undefined ? 0 : this.#levelOf(bucket)
  }

  #levelOf(bucket: Bucket): number {
    const sunk = (Math.max(0, this.#clock.now() - bucket.ts) / 1000) * this.#rate.perSecond
    return Math.max(0, bucket.level - sunk)
  }

  #set(key: string, level: number): void {
    this.#buckets.delete(key)
    this.#buckets.set(key, { level, ts: this.#clock.now() })
    // Two are looked at for each that comes, so those that ran empty go sooner than new ones come.
    let looked = 0
    for (const [oldest, bucket] of this.#buckets) {
      if (this.#levelOf(bucket) <= 0 || this.#buckets.size > this.#maxKeys) this.#buckets.delete(oldest)
      if (++looked === 2) return
    }
  }
}
