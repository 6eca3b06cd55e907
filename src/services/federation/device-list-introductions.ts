import { LRUCache } from 'lru-cache'
import type { ServerName, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomServersStore } from '../../storage/stores/room-servers.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import { CROSS_SIGNING_DEVICE, type CrossSigning } from '../devices/cross-signing.js'
import type { Devices } from '../devices/devices.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { PositionSink } from '../streams/notifier.js'
import type { AudienceLookup } from './audience-lookup.js'
import { StreamFollower } from './stream-follower.js'
import { upTo as boundedTo } from '../../util/lru-bounds.js'

interface Dependencies {
  readonly db: Database
  readonly store: Pick<RoomServersStore, 'listJoinedRooms'>
  readonly audience: Pick<AudienceLookup, 'serversInRooms'>
  readonly devices: Pick<Devices, 'list' | 'recordChange'>
  readonly crossSigning: Pick<CrossSigning, 'isSetUp'>
  readonly members: Pick<RoomMembersStore, 'sampleLocalMembers'>
  /** Rooms whose members were not all known. */
  readonly partialRooms: Pick<PartialRooms, 'completedBetween' | 'isPartial'>
  readonly eventStream: Pick<StreamIdGenerator, 'position'>
  readonly onError: (error: unknown) => void
}

/** Users of this server in a room that was joined lately; a room has one of them, mostly. */
const MAX_USERS = 100
const MAX_ROOMS = 1_000
const NOBODY: ReadonlySet<ServerName> = new Set()

/** Makes a user's devices known to servers that have nothing to do with the user yet. */
export class DeviceListIntroductions implements PositionSink {
  readonly #deps: Dependencies
  readonly #follower: StreamFollower
  /** The servers that were told of who came to a room while its members were not all known. */
  readonly #told = new LRUCache<number, ReadonlySet<ServerName>>(boundedTo(MAX_ROOMS))

  constructor(deps: Dependencies) {
    this.#deps = deps
    this.#follower = new StreamFollower({
      position: () => deps.eventStream.position(),
      take: (after, upTo) => this.#onCompleted(deps.partialRooms.completedBetween(after, upTo)),
      onError: deps.onError,
    })
  }

  start(): void {
    this.#follower.start(this.#deps.eventStream.position())
  }

  stop(): Promise<void> {
    return this.#follower.stop()
  }

  onNewPosition(stream: StreamName): void {
    if (stream === 'events') this.#follower.kick()
  }

  /**
   * A user of this server has joined a room. Where that is the first one shared with another server, all of the user's
   * devices count as changed. Fails never: it is not worth a join.
   * https://spec.matrix.org/latest/server-server-api/#device-management
   */
  async onJoined(userId: UserId, room: Pick<RoomRecord, 'roomNid'>): Promise<void> {
    try {
      if (await this.#meetsServers(userId, room.roomNid)) await this.#recordAll(userId)
    } catch (error) {
      this.#deps.onError(error)
    }
  }

  /** Until the members of a room are known, a server that is in it may have been passed over. */
  async #onCompleted(roomNids: readonly number[]): Promise<void> {
    const { db, members, audience } = this.#deps
    if (roomNids.length === 0) return
    const servers = await audience.serversInRooms(roomNids)
    for (const roomNid of roomNids) {
      const told = this.#told.get(roomNid) ?? NOBODY
      this.#told.delete(roomNid)
      // What others have been told already is no news to the user's own clients either.
      if ([...(servers.get(roomNid) ?? NOBODY)].every((server) => told.has(server))) continue
      const users = await members.sampleLocalMembers(db.reader, roomNid, MAX_USERS)
      for (const userId of users) await this.#recordAll(userId)
    }
  }

  async #meetsServers(userId: UserId, roomNid: number): Promise<boolean> {
    const { db, store, audience, partialRooms } = this.#deps
    const inRoom = (await audience.serversInRooms([roomNid])).get(roomNid) ?? NOBODY
    if (partialRooms.isPartial(roomNid) && !this.#told.has(roomNid)) this.#told.set(roomNid, inRoom)
    if (inRoom.size === 0) return false
    const rooms = (await store.listJoinedRooms(db.reader, [userId])).get(userId) ?? []
    const servers = await audience.serversInRooms(rooms)
    const known = new Set(
      rooms.filter((nid) => nid !== roomNid).flatMap((nid) => [...(servers.get(nid) ?? NOBODY)]),
    )
    return [...inRoom].some((server) => !known.has(server))
  }

  async #recordAll(userId: UserId): Promise<void> {
    const { db, devices, crossSigning } = this.#deps
    const all = (await devices.list(userId)).map(({ deviceId }) => deviceId)
    const signs = await crossSigning.isSetUp(db.reader, userId)
    await db.write('introduce_devices', (tx) =>
      devices.recordChange(tx, userId, signs ? [...all, CROSS_SIGNING_DEVICE] : all),
    )
  }
}
