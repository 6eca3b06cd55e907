import { LRUCache } from 'lru-cache'
import type { Counter, CounterSeries, Metrics } from '../telemetry/metrics.js'
import type { Query, Tx } from './database.js'
import { upTo } from '../util/lru-bounds.js'

/** How large caches are, as the configuration says. */
export interface CacheFactors {
  readonly globalFactor: number
  readonly perCacheFactors: Readonly<Record<string, number>>
}

export interface CacheOptions<V> {
  /** For metrics and `per_cache_factors`. */
  readonly name: string
  /** Entries at most, before factors. */
  readonly max?: number
  /** Instead of `max`: the sum of all entries' sizes at most, before factors. */
  readonly maxSize?: number
  readonly sizeOf?: (value: V) => number
}

type Key = string | number
/** Anything but nothing. */
type Cacheable = object | string | number | boolean

/** Tells other processes what to forget. */
export type InvalidationListener = (cache: string, key: Key) => void

/** All caches of one server: bounded, measured, and forgotten together. */
export class CacheRegistry {
  readonly #factors: CacheFactors
  readonly #caches = new Map<string, RegisteredCache>()
  readonly #listeners = new Set<InvalidationListener>()
  readonly #hits: Counter
  readonly #misses: Counter
  readonly #evictions: Counter

  constructor(metrics: Metrics, factors: CacheFactors = { globalFactor: 1, perCacheFactors: {} }) {
    this.#factors = factors
    this.#hits = metrics.counter({
      name: 'synapse_util_caches_cache_hits',
      help: 'Look-ups that a cache answered',
    })
    this.#misses = metrics.counter({
      name: 'mxhs_caches_misses',
      help: 'Look-ups that a cache could not answer',
    })
    this.#evictions = metrics.counter({
      name: 'synapse_util_caches_cache_evicted_size',
      help: 'Entries that a cache gave up for want of room',
    })
    metrics.observed({ name: 'synapse_util_caches_cache_size', help: 'Entries in a cache' }, () =>
      [...this.#caches].map(([name, cache]) => [{ name }, cache.size()] as const),
    )
  }

  /** A cache of things that never change once written (but may be deleted). Names are unique. */
  create<K extends Key, V extends Cacheable>(options: CacheOptions<V>): BulkCache<K, V> {
    return this.#register<K, V, BulkCache<K, V>>(options, (bounds, events) => new BulkCache(bounds, events))
  }

  /** A cache of rows that change: writers call `invalidate` in the transaction that changes them. */
  createMutable<K extends Key, V extends Cacheable>(options: CacheOptions<V>): RowCache<K, V> {
    return this.#register<K, V, RowCache<K, V>>(options, (bounds, events) => new RowCache(bounds, events))
  }

  /** Called with what this process has invalidated. */
  onInvalidate(listener: InvalidationListener): void {
    this.#listeners.add(listener)
  }

  /** Forgets what another process has changed. Unknown names are ignored: not every process has every cache. */
  invalidateFromElsewhere(cache: string, key: Key): void {
    this.#caches.get(cache)?.delete(key)
  }

  /** Forgets everything: after messages may have been lost. */
  clear(): void {
    for (const cache of this.#caches.values()) cache.clear()
  }

  #register<K extends Key, V extends Cacheable, C extends BulkCache<K, V>>(
    options: CacheOptions<V>,
    make: (bounds: LruBounds<V>, events: CacheEvents) => C,
  ): C {
    const { name } = options
    if (this.#caches.has(name)) throw new Error(`There are two caches named ${name}`)
    const labels = { name }
    const cache = make(this.#bounds(options), {
      hits: this.#hits.series(labels),
      misses: this.#misses.series(labels),
      evictions: this.#evictions.series(labels),
      invalidate: (key) => {
        for (const listener of this.#listeners) listener(name, key)
      },
    })
    this.#caches.set(name, {
      size: () => cache.size,
      delete: (key) => {
        cache.delete(key as K)
      },
      clear: () => {
        cache.clear()
      },
    })
    return cache
  }

  #bounds<V>({ name, max, maxSize, sizeOf }: CacheOptions<V>): LruBounds<V> {
    const factor = this.#factors.perCacheFactors[name] ?? this.#factors.globalFactor
    if (maxSize !== undefined && sizeOf !== undefined) {
      return { maxSize: Math.max(1, Math.round(maxSize * factor)), sizeCalculation: (value) => sizeOf(value) }
    }
    return upTo(Math.max(1, Math.round((max ?? 1000) * factor)))
  }
}

/** A cache as the registry sees it: of any kind of keys. */
interface RegisteredCache {
  size(): number
  delete(key: Key): void
  clear(): void
}

interface LruBounds<V> {
  readonly maxSize: number
  readonly sizeCalculation: (value: V) => number
}

interface CacheEvents {
  readonly hits: CounterSeries
  readonly misses: CounterSeries
  readonly evictions: CounterSeries
  invalidate(key: Key): void
}

/** A load on its way. */
interface Load<K, V> {
  readonly values: Promise<ReadonlyMap<K, V>>
}

/** Loads what is missing: values by key, without those that do not exist (which are not remembered). */
export type BulkLoader<K, V> = (missing: readonly K[]) => Promise<ReadonlyMap<K, V>>

/** A bounded cache that loads many entries with one query. Values are shared: nobody may change them. */
export class BulkCache<K extends Key, V extends Cacheable> {
  readonly #values: LRUCache<K, V>
  readonly #loads = new Map<K, Load<K, V>>()
  readonly #events: CacheEvents

  constructor(bounds: LruBounds<V>, events: CacheEvents) {
    this.#events = events
    this.#values = new LRUCache<K, V>({
      ...bounds,
      dispose: (_value, _key, reason) => {
        if (reason === 'evict') events.evictions.inc()
      },
    })
  }

  get size(): number {
    return this.#values.size
  }

  /** The value if it is here; loads nothing. */
  peek(key: K): V | undefined {
    const value = this.#values.get(key)
    if (value !== undefined) this.#events.hits.inc()
    return value
  }

  /** One entry, loaded when it is missing. */
  async get(key: K, load: () => Promise<V | undefined>): Promise<V | undefined> {
    const values = await this.getMany([key], async () => {
      const value = await load()
      return value === undefined ? new Map<K, V>() : new Map([[key, value]])
    })
    return values.get(key)
  }

  /**
   * The entries of these keys that exist; one call of `load` for all that are missing. Somebody else's load on its way
   * is shared where it succeeds; where it fails or finds nothing (its transaction may be older), this one asks itself.
   */
  async getMany(keys: readonly K[], load: BulkLoader<K, V>): Promise<Map<K, V>> {
    const found = new Map<K, V>()
    const missing = new Set<K>()
    const shared = new Map<K, Load<K, V>>()
    for (const key of keys) {
      const value = this.#values.get(key)
      const onItsWay = value === undefined ? this.#loads.get(key) : undefined
      if (value !== undefined) found.set(key, value)
      else if (onItsWay !== undefined) shared.set(key, onItsWay)
      else missing.add(key)
    }
    if (found.size > 0) this.#events.hits.inc(found.size)
    if (missing.size === 0 && shared.size === 0) return found
    this.#events.misses.inc(missing.size + shared.size)
    if (missing.size > 0) await this.#loadInto(found, [...missing], load)
    if (shared.size > 0) {
      const left = await takeShared(found, shared)
      if (left.length > 0) await this.#loadInto(found, left, load)
    }
    return found
  }

  /** Remembers a value that was just written or read: call it after the commit. */
  set(key: K, value: V): void {
    this.#loads.delete(key)
    this.#values.set(key, value)
  }

  /** Forgets an entry here and now; a load on its way will not be remembered. */
  delete(key: K): void {
    this.#loads.delete(key)
    this.#values.delete(key)
  }

  /** Forgets an entry once the transaction is committed, in all processes. */
  invalidate(tx: Tx, key: K): void {
    tx.afterCommit(() => {
      this.delete(key)
      this.#events.invalidate(key)
    })
  }

  clear(): void {
    this.#loads.clear()
    this.#values.clear()
  }

  async #loadInto(found: Map<K, V>, keys: readonly K[], load: BulkLoader<K, V>): Promise<void> {
    const current: Load<K, V> = { values: load(keys) }
    for (const key of keys) this.#loads.set(key, current)
    try {
      const values = await current.values
      for (const [key, value] of values) {
        found.set(key, value)
        if (this.#loads.get(key) === current) this.#values.set(key, value)
      }
    } finally {
      for (const key of keys) if (this.#loads.get(key) === current) this.#loads.delete(key)
    }
  }
}

/** Takes what other loads bring; gives the keys that they did not. */
async function takeShared<K, V>(found: Map<K, V>, shared: ReadonlyMap<K, Load<K, V>>): Promise<K[]> {
  const left: K[] = []
  for (const [key, { values }] of shared) {
    const value = await values.then(
      (loaded) => loaded.get(key),
      () => undefined,
    )
    if (value === undefined) left.push(key)
    else found.set(key, value)
  }
  return left
}

/** How many invalidations a cache of rows remembers one by one. */
const INVALIDATIONS_KEPT = 10_000

/**
 * A cache of rows that change. Inside a write transaction it is passed by, since there the truth may not be committed;
 * and what a reader loads from a snapshot older than the last change of that key is not remembered.
 */
export class RowCache<K extends Key, V extends Cacheable> extends BulkCache<K, V> {
  /** When a key was last invalidated, as `performance.now()`. */
  readonly #invalidatedAt = new LRUCache<K, number>({
    ...upTo(INVALIDATIONS_KEPT),
    dispose: (at, _key, reason) => {
      if (reason === 'evict') this.#floor = Math.max(this.#floor, at)
    },
  })
  /** Of all keys that are not in the map. */
  #floor = 0

  /** One row. */
  async getRow(q: Query, key: K, load: () => Promise<V | undefined>): Promise<V | undefined> {
    const rows = await this.getRows(q, [key], async () => {
      const value = await load()
      return value === undefined ? new Map<K, V>() : new Map([[key, value]])
    })
    return rows.get(key)
  }

  /** The rows of these keys that exist. */
  async getRows(q: Query, keys: readonly K[], load: BulkLoader<K, V>): Promise<Map<K, V>> {
    if ('execute' in q) return new Map(await load(keys))
    const fresh: K[] = []
    const changedSince: K[] = []
    for (const key of keys) {
      if ((this.#invalidatedAt.get(key) ?? this.#floor) < q.snapshotAt) fresh.push(key)
      else changedSince.push(key)
    }
    const rows = await this.getMany(fresh, load)
    if (changedSince.length === 0) return rows
    return new Map([...rows, ...(await load(changedSince))])
  }

  override delete(key: K): void {
    this.#invalidatedAt.set(key, performance.now())
    super.delete(key)
  }

  override clear(): void {
    this.#floor = performance.now()
    super.clear()
  }
}
