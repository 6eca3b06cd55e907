import type { CacheRegistry, RowCache } from '../../storage/cache-registry.js'
import type { Database } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { UserId } from '../../protocol/ids.js'
import { BatchedLookup } from '../../util/batched-lookup.js'
import type { PositionHints, PositionSink } from '../streams/notifier.js'

/** Users who are looked up together. */
const MAX_BATCH = 500
const NOBODY: ReadonlySet<UserId> = new Set()

/**
 * Whom users ignore, remembered until their account data change.
 * https://spec.matrix.org/latest/client-server-api/#ignoring-users
 */
export class IgnoredUsers implements PositionSink {
  readonly #db: Database
  readonly #stored: BatchedLookup<UserId, ReadonlySet<UserId>>
  readonly #cache: RowCache<UserId, ReadonlySet<UserId>>

  constructor(db: Database, caches: CacheRegistry, accountData: AccountDataStore) {
    this.#db = db
    this.#stored = new BatchedLookup((userIds) => accountData.getIgnoredUsersOf(db.reader, userIds), {
      maxItems: MAX_BATCH,
    })
    this.#cache = caches.createMutable({ name: 'ignored_users', max: 20_000 })
  }

  async of(userId: UserId): Promise<ReadonlySet<UserId>> {
    const ignored = await this.#cache.getRow(
      this.#db.reader,
      userId,
      async () => (await this.#stored.get(userId)) ?? NOBODY,
    )
    return ignored ?? NOBODY
  }

  onNewPosition(stream: StreamName, { users = [] }: PositionHints): void {
    if (stream === 'account_data') for (const userId of users) this.#cache.delete(userId)
  }
}
