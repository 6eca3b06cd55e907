import type { CacheRegistry, RowCache } from '../../storage/cache-registry.js'
import type { Database } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { UserId } from '../../protocol/ids.js'
import type { PositionHints, PositionSink } from '../streams/notifier.js'

/** Whom users ignore, remembered until their account data change. https://spec.matrix.org/latest/client-server-api/#ignoring-users */
export class IgnoredUsers implements PositionSink {
  readonly #db: Database
  readonly #accountData: AccountDataStore
  readonly #cache: RowCache<UserId, ReadonlySet<UserId>>

  constructor(db: Database, caches: CacheRegistry, accountData: AccountDataStore) {
    this.#db = db
    this.#accountData = accountData
    this.#cache = caches.createMutable({ name: 'ignored_users', max: 20_000 })
  }

  async of(userId: UserId): Promise<ReadonlySet<UserId>> {
    const ignored = await this.#cache.getRow(this.#db.reader, userId, () =>
      this.#accountData.getIgnoredUsers(this.#db.reader, userId),
    )
    return ignored ?? new Set()
  }

  onNewPosition(stream: StreamName, { users = [] }: PositionHints): void {
    if (stream === 'account_data') for (const userId of users) this.#cache.delete(userId)
  }
}
