import { LRUCache } from 'lru-cache'
import type { DeviceId, ServerName, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { DevicesStore } from '../../storage/stores/devices.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomServersStore } from '../../storage/stores/room-servers.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import { CROSS_SIGNING_DEVICE, type CrossSigning } from '../devices/cross-signing.js'
import type { Devices } from '../devices/devices.js'
import type { LocalKeys } from '../devices/local-keys.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { AudienceLookup } from './audience-lookup.js'
import { upTo as boundedTo } from '../../util/lru-bounds.js'

interface Dependencies {
  readonly db: Database
  readonly store: Pick<RoomServersStore, 'listJoinedRooms'>
  readonly audience: Pick<AudienceLookup, 'serversInRooms'>
  readonly devices: Pick<Devices, 'list' | 'recordChange'>
  readonly deviceStore: Pick<DevicesStore, 'listChangedSince'>
  readonly localKeys: Pick<LocalKeys, 'describe'>
  readonly crossSigning: Pick<CrossSigning, 'isSetUp'>
  readonly members: Pick<RoomMembersStore, 'sampleLocalMembers'>
  /** Rooms whose members were not all known. */
  readonly partialRooms: Pick<PartialRooms, 'isPartial'>
  readonly deviceListStream: Pick<StreamIdGenerator, 'position'>
  readonly onError: (error: unknown) => void
}

/** Users of this server in a room that was joined lately; a room has one of them, mostly. */
const MAX_USERS = 100
const MAX_ROOMS = 1_000
const NOBODY: ReadonlySet<ServerName> = new Set()

/** Makes a user's devices known to servers that have nothing to do with the user yet. */
export class DeviceListIntroductions {
  readonly #deps: Dependencies
  /** Where the stream of device lists was when somebody came to a room whose members were not all known. */
  readonly #since = new LRUCache<number, number>(boundedTo(MAX_ROOMS))

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /**
   * A user of this server has joined a room. Where that is the first one shared with another server, all of the user's
   * devices count as changed. Until the members of a room are known nobody can say that: it waits for them. Fails never:
   * it is not worth a join.
   * https://spec.matrix.org/latest/server-server-api/#device-management
   */
  async onJoined(userId: UserId, room: Pick<RoomRecord, 'roomNid'>): Promise<void> {
    const { partialRooms, deviceListStream, onError } = this.#deps
    try {
      if (partialRooms.isPartial(room.roomNid)) {
        if (!this.#since.has(room.roomNid)) this.#since.set(room.roomNid, deviceListStream.position())
      } else if ((await this.#meetingServers([userId], room.roomNid)).length > 0)
        await this.#recordAll(userId)
    } catch (error) {
      onError(error)
    }
  }

  /**
   * The members of rooms are known. What has keys is new to the servers there; what changed meanwhile may have passed
   * over one of them, or one that has been there and is met elsewhere now.
   */
  async onMembersKnown(roomNids: readonly number[]): Promise<void> {
    const { db, members, deviceStore } = this.#deps
    for (const roomNid of roomNids) {
      const since = this.#since.get(roomNid)
      this.#since.delete(roomNid)
      const users = await members.sampleLocalMembers(db.reader, roomNid, MAX_USERS)
      const changed = since === undefined ? [] : await deviceStore.listChangedSince(db.reader, users, since)
      const devices = await this.#listWithKeys(await this.#meetingServers(users, roomNid))
      for (const { userId, deviceId } of changed) {
        devices.set(userId, (devices.get(userId) ?? new Set<DeviceId>()).add(deviceId))
      }
      await db.write('introduce_devices', async (tx) => {
        for (const [userId, deviceIds] of devices) {
          await this.#deps.devices.recordChange(tx, userId, [...deviceIds])
        }
      })
    }
  }

  /** What others can encrypt for, or trust, of each user. */
  async #listWithKeys(users: readonly UserId[]): Promise<Map<UserId, Set<DeviceId>>> {
    const published = await this.#deps.localKeys.describe(users)
    return new Map(
      [...published].map(([userId, { devices, master }]) => {
        const withKeys = [...devices].flatMap(([deviceId, { keys }]) =>
          keys === undefined ? [] : [deviceId],
        )
        return [userId, new Set(master === undefined ? withKeys : [...withKeys, CROSS_SIGNING_DEVICE])]
      }),
    )
  }

  /** Those of the users who share no other room with one of the servers in a room. */
  async #meetingServers(users: readonly UserId[], roomNid: number): Promise<UserId[]> {
    const { db, store, audience } = this.#deps
    const inRoom = (await audience.serversInRooms([roomNid])).get(roomNid) ?? NOBODY
    if (inRoom.size === 0) return []
    const rooms = await store.listJoinedRooms(db.reader, users)
    const servers = await audience.serversInRooms([...new Set([...rooms.values()].flat())])
    return users.filter((userId) => {
      const others = (rooms.get(userId) ?? []).filter((nid) => nid !== roomNid)
      const known = new Set(others.flatMap((nid) => [...(servers.get(nid) ?? NOBODY)]))
      return [...inRoom].some((server) => !known.has(server))
    })
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
