import { LRUCache } from 'lru-cache'
import { MatrixError, invalidParam } from '../../protocol/errors.js'
import { NO_FILTER, parseFilter, type Filter } from '../../protocol/event-filter.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { Filters } from '../accounts/filters.js'
import type { Requester } from '../accounts/requester.js'
import { upTo } from '../../util/lru-bounds.js'

/** Filters as syncs name them, ready for use. */
export class SyncFilters {
  readonly #filters: Pick<Filters, 'get'>
  /** By the object that the service of filters keeps: compiled for as long as it is kept. */
  readonly #uploaded = new WeakMap<JsonObject, Filter>()
  readonly #inline: LRUCache<string, Filter>

  constructor(filters: Pick<Filters, 'get'>, options: { cacheSize: number } = { cacheSize: 200 }) {
    this.#filters = filters
    this.#inline = new LRUCache(upTo(options.cacheSize))
  }

  /**
   * `text`: JSON if it begins with a brace, else the ID of an uploaded filter; undefined or empty for none. Throws
   * `M_NOT_JSON`, `M_BAD_JSON`, and `M_INVALID_PARAM`, also for an unknown ID.
   */
  async resolve(requester: Requester, text: string | undefined): Promise<Filter> {
    if (text === undefined || text === '') return NO_FILTER
    return text.startsWith('{') ? this.#parse(text) : this.#find(requester, text)
  }

  #parse(text: string): Filter {
    const known = this.#inline.get(text)
    if (known !== undefined) return known
    const filter = parseFilter(parseObject(text))
    this.#inline.set(text, filter)
    return filter
  }

  async #find(requester: Requester, filterId: string): Promise<Filter> {
    const json = await this.#getUploaded(requester, filterId)
    let filter = this.#uploaded.get(json)
    if (filter === undefined) this.#uploaded.set(json, (filter = parseFilter(json)))
    return filter
  }

  async #getUploaded(requester: Requester, filterId: string): Promise<JsonObject> {
    try {
      return await this.#filters.get(requester, requester.userId, filterId)
    } catch (error) {
      if (error instanceof MatrixError && error.errcode === 'M_NOT_FOUND')
        throw invalidParam('No such filter')
      throw error
    }
  }
}

function parseObject(text: string): JsonObject {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new MatrixError('M_NOT_JSON', 'The filter is not valid JSON')
  }
  if (!isJsonObject(json)) throw new MatrixError('M_BAD_JSON', 'The filter must be an object')
  return json
}
