import type { Database } from '../../storage/database.js'
import type { RatelimitOverridesStore } from '../../storage/stores/ratelimit-overrides.js'
import type { UserId } from '../../protocol/ids.js'
import type { RateLimitOverride } from './ratelimits.js'

/** The limits that administrators have given to single users: few, and all of them in memory. */
export class RatelimitOverrides {
  readonly #db: Database
  readonly #store: RatelimitOverridesStore
  #known: ReadonlyMap<UserId, RateLimitOverride> = new Map()

  constructor(db: Database, store: RatelimitOverridesStore) {
    this.#db = db
    this.#store = store
  }

  /** To be called before anybody is limited. */
  async load(): Promise<void> {
    this.#known = await this.#store.listAll(this.#db.reader)
  }

  get(userId: UserId): RateLimitOverride | undefined {
    return this.#known.get(userId)
  }

  /** In force with the next request. `undefined`: the user is limited as others are. */
  async set(userId: UserId, override: RateLimitOverride | undefined): Promise<void> {
    await this.#db.write('override_ratelimit', async (tx) => {
      if (override === undefined) await this.#store.delete(tx, userId)
      else await this.#store.put(tx, userId, override)
      tx.afterCommit(() => {
        const known = new Map(this.#known)
        if (override === undefined) known.delete(userId)
        else known.set(userId, override)
        this.#known = known
      })
    })
  }
}
