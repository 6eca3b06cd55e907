import type { RoomId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import { DatabaseSizeStore } from '../../storage/stores/database-size.js'
import type {
  MediaStatistic,
  MediaStatisticsQuery,
  ServerStatisticsStore,
} from '../../storage/stores/server-statistics.js'

/** What the server has as a whole, for administrators. Only reads, and looks at all that there is. */
export class ServerStatistics {
  readonly #db: Database
  readonly #store: ServerStatisticsStore
  readonly #sizes = new DatabaseSizeStore()

  constructor(db: Database, store: ServerStatisticsStore) {
    this.#db = db
    this.#store = store
  }

  /** The rooms whose events and states take most, in bytes. */
  async listLargestRooms(limit: number): Promise<{ roomId: RoomId; bytes: number }[]> {
    const sizes = await this.#db.read('room_sizes', (q) => this.#sizes.byRoom(q, limit))
    return sizes.map(({ roomId, eventBytes, snapshotBytes }) => ({
      roomId,
      bytes: eventBytes + snapshotBytes,
    }))
  }

  /** A page of those who have uploaded something, and how many there are. */
  listMediaUse(query: MediaStatisticsQuery): Promise<{ users: MediaStatistic[]; total: number }> {
    return this.#db.read('media_statistics', (q) => this.#store.listMediaUse(q, query))
  }
}
