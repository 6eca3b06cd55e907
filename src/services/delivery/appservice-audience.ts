import {
  isInNamespace,
  isInterestedInUser,
  type AppserviceRegistration,
} from '../../protocol/appservice-registration.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { BulkCache, CacheRegistry } from '../../storage/cache-registry.js'
import type { Database } from '../../storage/database.js'
import type { AppservicesStore } from '../../storage/stores/appservices.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { AppserviceRegistry } from '../appservices/appservice-registry.js'
import type { PositionHints } from '../streams/notifier.js'

export interface AppserviceAudienceDependencies {
  readonly db: Database
  readonly caches: CacheRegistry
  readonly registry: AppserviceRegistry
  readonly members: Pick<RoomMembersStore, 'listForRoom'>
  readonly appservices: Pick<AppservicesStore, 'listAliases' | 'listJoinedRooms'>
}

export interface RoomName {
  readonly roomId: RoomId
  readonly roomNid: number
}

/** Which application services care about which rooms, remembered until people come and go. */
export class AppserviceAudience {
  readonly #deps: AppserviceAudienceDependencies
  /** By room the services that have somebody in it. */
  readonly #inside: BulkCache<RoomId, ReadonlySet<string>>

  constructor(deps: AppserviceAudienceDependencies) {
    this.#deps = deps
    this.#inside = deps.caches.create({ name: 'appservices_in_rooms', max: 20_000 })
    deps.registry.onChange(() => this.#inside.clear())
  }

  /** Forgets what others have changed: to be called before anybody asks anew. */
  onNewPosition(stream: StreamName, { rooms = [], users = [] }: PositionHints): void {
    if (stream === 'events' && users.length > 0) for (const roomId of rooms) this.#inside.delete(roomId)
  }

  /** Of these rooms those that a service is interested in as a whole: by ID, by alias, or by who is in them. */
  async interestingRooms(
    registration: AppserviceRegistration,
    rooms: readonly RoomName[],
  ): Promise<ReadonlySet<RoomId>> {
    const interesting = new Set<RoomId>()
    const others: RoomName[] = []
    for (const room of rooms) {
      if (isInNamespace(registration, 'rooms', room.roomId)) interesting.add(room.roomId)
      else others.push(room)
    }
    const aliases = await this.#aliasesOf(registration, others)
    for (const room of others) {
      const isNamed = aliases
        .get(room.roomNid)
        ?.some((alias) => isInNamespace(registration, 'aliases', alias))
      if (isNamed || (await this.#inRoom(room)).has(registration.id)) interesting.add(room.roomId)
    }
    return interesting
  }

  /** Whether a service has somebody in a room. */
  async isInside(appserviceId: string, room: RoomName): Promise<boolean> {
    return (await this.#inRoom(room)).has(appserviceId)
  }

  /** Of these users those who are in a room with the service, or are its own; rooms of `without` do not count. */
  async interestingUsers(
    registration: AppserviceRegistration,
    userIds: readonly UserId[],
    { without }: { without?: ReadonlySet<RoomId> } = {},
  ): Promise<ReadonlySet<UserId>> {
    const own = new Set(userIds.filter((userId) => isInterestedInUser(registration, userId)))
    const others = userIds.filter((userId) => !own.has(userId))
    if (others.length === 0) return own
    const all = await this.#deps.appservices.listJoinedRooms(this.#deps.db.reader, others)
    const joined = all.filter(({ roomId }) => without?.has(roomId) !== true)
    const rooms = new Map(joined.map(({ roomId, roomNid }) => [roomId, { roomId, roomNid }]))
    const interesting = await this.interestingRooms(registration, [...rooms.values()])
    const seen = joined.filter(({ roomId }) => interesting.has(roomId)).map(({ userId }) => userId)
    return new Set([...own, ...seen])
  }

  #aliasesOf(
    { namespaces }: AppserviceRegistration,
    rooms: readonly RoomName[],
  ): Promise<ReadonlyMap<number, readonly string[]>> {
    if (namespaces.aliases.length === 0 || rooms.length === 0) return Promise.resolve(new Map())
    return this.#deps.appservices.listAliases(
      this.#deps.db.reader,
      rooms.map(({ roomNid }) => roomNid),
    )
  }

  async #inRoom({ roomId, roomNid }: RoomName): Promise<ReadonlySet<string>> {
    const inside = await this.#inside.get(roomId, async () => {
      const { db, members, registry } = this.#deps
      const joined = await members.listForRoom(db.reader, roomNid, ['join'], { localOnly: true })
      const services = registry
        .list()
        .filter((registration) => joined.some(({ userId }) => isInterestedInUser(registration, userId)))
      return new Set(services.map(({ id }) => id))
    })
    return inside ?? new Set()
  }
}
