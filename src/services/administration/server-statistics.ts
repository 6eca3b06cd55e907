import type { Database } from '../../storage/database.js'
import type {
  MediaStatistic,
  MediaStatisticsQuery,
  ServerStatisticsStore,
} from '../../storage/stores/server-statistics.js'

/** What the server has as a whole, for administrators. Only reads, and looks at all that there is. */
export class ServerStatistics {
  readonly #db: Database
  readonly #store: ServerStatisticsStore

  constructor(db: Database, store: ServerStatisticsStore) {
    this.#db = db
    this.#store = store
  }

  /** A page of those who have uploaded something, and how many there are. */
  listMediaUse(query: MediaStatisticsQuery): Promise<{ users: MediaStatistic[]; total: number }> {
    return this.#db.read('media_statistics', (q) => this.#store.listMediaUse(q, query))
  }
}
