import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { forbidden, limitExceeded, notFound } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { FiltersStore } from '../../storage/stores/filters.js'
import type { JsonObject } from '../../util/json.js'
import type { Requester } from './requester.js'
import { upTo } from '../../util/lru-bounds.js'

export interface FiltersDependencies {
  readonly db: Database
  readonly filters: FiltersStore
  /** Throws `M_BAD_JSON` or `M_INVALID_PARAM` for what is no filter. */
  readonly check: (filter: JsonObject) => void
  /** Entries in the cache of filters. */
  readonly cacheSize: number
}

/** Far more than all clients of a person use; filters are never deleted. */
const MAX_FILTERS_PER_USER = 1000
const ONE_DAY_MS = 24 * 60 * 60 * 1000
const FILTER_ID = /^(0|[1-9][0-9]{0,8})$/

/** Filters that clients upload once and name afterwards. https://spec.matrix.org/latest/client-server-api/#filtering */
export class Filters {
  readonly #deps: FiltersDependencies
  readonly #cache: LRUCache<string, JsonObject>

  constructor(deps: FiltersDependencies) {
    this.#deps = deps
    this.#cache = new LRUCache(upTo(deps.cacheSize))
  }

  /**
   * Keeps a filter and returns its ID; an equal one has the same. Throws `M_FORBIDDEN` for other users, what
   * `check` throws, and `M_LIMIT_EXCEEDED` after 1,000 different filters.
   */
  async create(requester: Requester, userId: UserId, filter: JsonObject): Promise<string> {
    checkOwner(requester, userId)
    this.#deps.check(filter)
    const json = JSON.stringify(filter)
    const hash = createHash('sha256').update(json).digest('hex')
    const filterId = await this.#deps.db.write('create_filter', async (tx) => {
      const known = await this.#deps.filters.findByHash(tx, userId, hash)
      if (known !== undefined) return known
      if ((await this.#deps.filters.count(tx, userId)) >= MAX_FILTERS_PER_USER)
        throw limitExceeded(ONE_DAY_MS)
      return this.#deps.filters.insert(tx, userId, { hash, json })
    })
    return String(filterId)
  }

  /** Throws `M_NOT_FOUND`, `M_FORBIDDEN` for other users. */
  async get(requester: Requester, userId: UserId, filterId: string): Promise<JsonObject> {
    checkOwner(requester, userId)
    const filter = await this.#find(userId, filterId)
    if (filter === undefined) throw notFound('No such filter')
    return filter
  }

  /** Filters do not change, so what was read once stays right until the account ends. */
  async #find(userId: UserId, filterId: string): Promise<JsonObject | undefined> {
    if (!FILTER_ID.test(filterId)) return undefined
    const key = `${userId} ${filterId}`
    const cached = this.#cache.get(key)
    if (cached !== undefined) return cached
    const filter = await this.#deps.filters.get(this.#deps.db.reader, userId, Number(filterId))
    if (filter !== undefined) this.#cache.set(key, filter)
    return filter
  }
}

function checkOwner(requester: Requester, userId: UserId): void {
  if (requester.userId !== userId) throw forbidden('Cannot access the filters of other users')
}
