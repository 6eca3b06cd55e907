import { MatrixError, notFound } from '../../protocol/errors.js'
import type { RoomId, ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { DestinationsStore, FailingDestination } from '../../storage/stores/destinations.js'
import type { ServerStatisticsStore } from '../../storage/stores/server-statistics.js'
import type { Destinations } from '../remote/destinations.js'

/** Another server, and how it fails where it does. */
export interface DestinationOverview {
  readonly serverName: ServerName
  readonly failure: FailingDestination | undefined
}

export interface DestinationOverviewsDependencies {
  readonly db: Database
  readonly statistics: ServerStatisticsStore
  readonly store: Pick<DestinationsStore, 'list'>
  readonly destinations: Pick<Destinations, 'failureOf' | 'reset'>
}

/** Failing servers that are looked at. */
const MAX_FAILING = 100_000

/** The servers that this one has to do with, for administrators. */
export class DestinationOverviews {
  readonly #deps: DestinationOverviewsDependencies

  constructor(deps: DestinationOverviewsDependencies) {
    this.#deps = deps
  }

  /** Those in rooms of this server, and those that do not answer, in the order of their names. `search`: part of it. */
  async list(search: string | undefined): Promise<DestinationOverview[]> {
    const { db, statistics, store } = this.#deps
    const { known, failing } = await db.read('list_destinations', async (q) => ({
      known: await statistics.listServers(q),
      failing: await store.list(q, { limit: MAX_FAILING }),
    }))
    const failures = new Map(failing.map((failure) => [failure.serverName, failure]))
    return [...new Set([...known, ...failures.keys()])]
      .filter((serverName) => search === undefined || serverName.includes(search.toLowerCase()))
      .sort()
      .map((serverName) => ({ serverName, failure: failures.get(serverName) }))
  }

  /** Throws `M_NOT_FOUND` for servers that are in no room of this one, and have not failed. */
  async show(serverName: ServerName): Promise<DestinationOverview> {
    const failure = await this.#deps.destinations.failureOf(serverName)
    if (failure === undefined && (await this.#rooms(serverName)).length === 0) {
      throw notFound('Unknown destination')
    }
    return { serverName, failure }
  }

  /** The rooms that a server is in, with the position of the last event of each. Throws as `show`. */
  async listRooms(serverName: ServerName): Promise<{ roomId: RoomId; streamOrdering: number }[]> {
    await this.show(serverName)
    return this.#rooms(serverName)
  }

  /** Has a server that fails tried again at once. Throws as `show`, and 400 `M_UNKNOWN` where it does not fail. */
  async reset(serverName: ServerName): Promise<void> {
    if ((await this.show(serverName)).failure === undefined) {
      const message = 'The retry timing does not need to be reset for this destination.'
      throw new MatrixError('M_UNKNOWN', message, { status: 400 })
    }
    await this.#deps.destinations.reset(serverName)
  }

  #rooms(serverName: ServerName): Promise<{ roomId: RoomId; streamOrdering: number }[]> {
    const { db, statistics } = this.#deps
    return statistics.listRoomsOfServer(db.reader, serverName)
  }
}
