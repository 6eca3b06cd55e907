import type { RoomId, ServerName, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomServersStore } from '../../storage/stores/room-servers.js'
import type { EventFeed } from './event-feed.js'
import type { RoomServers } from './room-servers.js'

interface Dependencies {
  readonly db: Database
  readonly serverName: ServerName
  readonly store: Pick<RoomServersStore, 'listJoinedRooms'>
  readonly roomServers: RoomServers
  readonly events: Pick<EventFeed, 'caughtUp'>
}

const NOBODY: ReadonlySet<ServerName> = new Set()

/** Which other servers are to hear of things that are not events, by the memberships as they are now. */
export class AudienceLookup {
  readonly #deps: Dependencies

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /** The other servers in each of these rooms. */
  async serversInRooms(roomNids: Iterable<number>): Promise<Map<number, ReadonlySet<ServerName>>> {
    const { roomServers, events, serverName } = this.#deps
    await events.caughtUp()
    const servers = await roomServers.list(roomNids)
    return new Map(
      [...servers].map(([roomNid, inRoom]) => {
        const others = new Set(inRoom)
        others.delete(serverName)
        return [roomNid, others]
      }),
    )
  }

  /** The other servers that share a room with each of these users; rooms of `without` do not count. */
  async serversOfUsers(
    userIds: readonly UserId[],
    { without }: { without?: ReadonlySet<RoomId> } = {},
  ): Promise<Map<UserId, ReadonlySet<ServerName>>> {
    if (userIds.length === 0) return new Map()
    const { db, store } = this.#deps
    const rooms = await store.listJoinedRooms(db.reader, userIds, without)
    const servers = await this.serversInRooms([...rooms.values()].flat())
    return new Map(
      [...rooms].map(([userId, roomNids]) => [
        userId,
        new Set(roomNids.flatMap((roomNid) => [...(servers.get(roomNid) ?? NOBODY)])),
      ]),
    )
  }
}
