import type { ServerName, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomServersStore } from '../../storage/stores/room-servers.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { CrossSigning } from '../devices/cross-signing.js'
import { CROSS_SIGNING_DEVICE } from '../devices/cross-signing.js'
import type { Devices } from '../devices/devices.js'
import type { AudienceLookup } from './audience-lookup.js'

interface Dependencies {
  readonly db: Database
  readonly store: Pick<RoomServersStore, 'listJoinedRooms'>
  readonly audience: Pick<AudienceLookup, 'serversInRooms'>
  readonly devices: Pick<Devices, 'list' | 'recordChange'>
  readonly crossSigning: Pick<CrossSigning, 'isSetUp'>
  readonly onError: (error: unknown) => void
}

const NOBODY: ReadonlySet<ServerName> = new Set()

/** Makes a user's devices known to servers that have nothing to do with the user yet. */
export class DeviceListIntroductions {
  readonly #deps: Dependencies

  constructor(deps: Dependencies) {
    this.#deps = deps
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

  async #meetsServers(userId: UserId, roomNid: number): Promise<boolean> {
    const { db, store, audience } = this.#deps
    const inRoom = (await audience.serversInRooms([roomNid])).get(roomNid) ?? NOBODY
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
