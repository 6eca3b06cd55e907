import type { EventId, ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { ServerMembersStore } from '../../storage/stores/server-members.js'
import type { RoomWitnesses } from '../events/room-witnesses.js'
import type { OutlierFetcher } from './outlier-fetcher.js'
import type { RemoteStates } from './remote-states.js'

interface Parts {
  readonly states: Pick<RemoteStates, 'after'>
  readonly outliers: Pick<OutlierFetcher, 'fetch'>
  readonly serverMembers: Pick<ServerMembersStore, 'listServers'>
}

/** Servers that are asked for one thing. */
const MAX_SERVERS = 5

/** Asks the servers of those who are in a room. */
export class RemoteWitnesses implements RoomWitnesses {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  async stateAfter(room: RoomRecord, eventId: EventId): Promise<readonly EventId[] | undefined> {
    return this.#parts.states.after(room, eventId, await this.#serversIn(room))
  }

  async fetchAuthEvents(room: RoomRecord, ids: readonly EventId[]): Promise<void> {
    await this.#parts.outliers.fetch(room, ids, await this.#serversIn(room))
  }

  #serversIn({ roomNid }: RoomRecord): Promise<ServerName[]> {
    return this.#parts.serverMembers.listServers(this.#db.reader, roomNid, MAX_SERVERS)
  }
}
