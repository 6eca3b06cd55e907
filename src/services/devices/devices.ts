import { invalidParam, notFound, tooLarge } from '../../protocol/errors.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { Database, Query, Tx } from '../../storage/database.js'
import type { CrossSigningStore } from '../../storage/stores/cross-signing.js'
import type { DeviceRecord, DevicesStore } from '../../storage/stores/devices.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { Clock } from '../../util/clock.js'
import { groupBy } from '../../util/group-by.js'
import { UPPER_LETTERS, randomString } from '../../util/random.js'
import type { PositionSink } from '../streams/notifier.js'

export type { DeviceRecord }

/** Ends the tokens of devices that go away. */
export interface TokenRevoker {
  revokeForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void>
}

/** Deletes what else belongs to devices that go away: their keys, the messages sent to them. */
export interface DeviceCleanup {
  deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void>
}

export interface DevicesDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly devices: DevicesStore
  readonly crossSigning: Pick<CrossSigningStore, 'get'>
  readonly streamIds: Pick<StreamIdGenerator, 'allocate'>
  readonly positions: PositionSink
  readonly tokens: TokenRevoker
  readonly cleanups: readonly DeviceCleanup[]
}

const GENERATED_ID_LENGTH = 10
const MAX_DEVICE_ID_BYTES = 255
const MAX_DISPLAY_NAME_LENGTH = 100
/** Deleted in one request at most. */
const MAX_DELETED_AT_ONCE = 1000
/** Deleted in one transaction of those that nobody has used for long. */
const STALE_BATCH = 50

/** The devices of local users. */
export class Devices {
  readonly #deps: DevicesDependencies

  constructor(deps: DevicesDependencies) {
    this.#deps = deps
  }

  async list(userId: UserId): Promise<DeviceRecord[]> {
    return this.#deps.devices.listForUser(this.#deps.db.reader, userId)
  }

  /** Throws `M_NOT_FOUND`. */
  async require(userId: UserId, deviceId: DeviceId): Promise<DeviceRecord> {
    const device = await this.#deps.devices.get(this.#deps.db.reader, userId, deviceId)
    if (device === undefined) throw notFound('No device with this ID')
    return device
  }

  /**
   * The device of a login: a known one keeps its name and loses its tokens, a new one is made and announced. Without
   * `deviceId` an ID is chosen. Names that are too long are cut. Throws `M_INVALID_PARAM` for IDs that no device may have.
   * https://spec.matrix.org/latest/client-server-api/#relationship-between-access-tokens-and-devices
   */
  async register(
    tx: Tx,
    userId: UserId,
    wanted: { deviceId: string | undefined; displayName: string | undefined },
  ): Promise<DeviceId> {
    if (wanted.deviceId !== undefined) checkDeviceId(wanted.deviceId)
    const deviceId = (wanted.deviceId ?? randomString(GENERATED_ID_LENGTH, UPPER_LETTERS)) as DeviceId
    const isNew = await this.#insert(tx, userId, deviceId, wanted.displayName)
    if (isNew && wanted.deviceId !== undefined) await this.#checkAreNoKeys(tx, userId, [deviceId])
    if (!isNew) await this.#deps.tokens.revokeForDevices(tx, userId, [deviceId])
    return deviceId
  }

  /** Makes a device without a login, for an application service; false when it is there already. */
  async create(userId: UserId, deviceId: DeviceId, displayName: string | undefined): Promise<boolean> {
    checkDeviceId(deviceId)
    return this.#deps.db.write('create_device', async (tx) => {
      const isNew = await this.#insert(tx, userId, deviceId, displayName)
      if (isNew) await this.#checkAreNoKeys(tx, userId, [deviceId])
      return isNew
    })
  }

  /**
   * Makes these all the devices of a user, but leaves `except` alone: those that are missing are made, without a name,
   * and all others are deleted. Throws `M_INVALID_PARAM` for IDs that no device may have.
   */
  async setAllIn(
    tx: Tx,
    userId: UserId,
    wanted: readonly string[],
    except: DeviceId | undefined,
  ): Promise<void> {
    for (const deviceId of wanted) checkDeviceId(deviceId)
    const { devices, clock } = this.#deps
    const known = new Set<string>((await devices.listForUser(tx, userId)).map(({ deviceId }) => deviceId))
    const kept = new Set([...wanted, ...(except === undefined ? [] : [except])])
    const added = [...new Set(wanted)].filter((deviceId) => !known.has(deviceId)) as DeviceId[]
    await this.deleteIn(
      tx,
      userId,
      [...known].filter((deviceId) => !kept.has(deviceId)),
    )
    if (added.length === 0) return
    await this.#checkAreNoKeys(tx, userId, added)
    await devices.insertMany(tx, userId, added, clock.now())
    await this.recordChange(tx, userId, added)
  }

  /** Throws `M_NOT_FOUND`, or `M_TOO_LARGE` for names of more than 100 characters. */
  async rename(userId: UserId, deviceId: DeviceId, displayName: string): Promise<void> {
    if (displayName.length > MAX_DISPLAY_NAME_LENGTH) {
      throw tooLarge(`A device's display name may have ${MAX_DISPLAY_NAME_LENGTH} characters`)
    }
    await this.#deps.db.write('rename_device', async (tx) => {
      if (!(await this.#deps.devices.setDisplayName(tx, userId, deviceId, displayName))) {
        throw notFound('No device with this ID')
      }
      await this.recordChange(tx, userId, [deviceId])
    })
  }

  /** Deletes devices with their tokens, keys and messages; unknown ones are passed over. */
  async delete(userId: UserId, deviceIds: readonly string[]): Promise<void> {
    if (deviceIds.length > MAX_DELETED_AT_ONCE) {
      throw invalidParam(`At most ${MAX_DELETED_AT_ONCE} devices can be deleted at once`)
    }
    await this.#deps.db.write('delete_devices', (tx) => this.deleteIn(tx, userId, deviceIds))
  }

  /**
   * Deletes devices that were last seen before a time, as `delete` does, some at a time. Ends early when the signal
   * aborts.
   */
  async deleteStale(beforeTs: number, signal: AbortSignal): Promise<void> {
    const { db, devices } = this.#deps
    for (let deleted = STALE_BATCH; deleted === STALE_BATCH && !signal.aborted;) {
      deleted = await db.write('delete_stale_devices', async (tx) => {
        const stale = await devices.listStale(tx, beforeTs, STALE_BATCH)
        for (const [userId, own] of groupBy(stale, (device) => device.userId)) {
          await this.deleteIn(
            tx,
            userId,
            own.map(({ deviceId }) => deviceId),
          )
        }
        return stale.length
      })
    }
  }

  /** As `delete`, in a transaction of the caller's. */
  async deleteIn(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    const deleted = await this.#deps.devices.deleteMany(tx, userId, deviceIds)
    if (deleted.length === 0) return
    await this.#deps.tokens.revokeForDevices(tx, userId, deleted)
    for (const cleanup of this.#deps.cleanups) await cleanup.deleteForDevices(tx, userId, deleted)
    await this.recordChange(tx, userId, deleted)
  }

  /** Deletes all devices of a user but `except`; gives those that are gone. */
  async deleteAllIn(tx: Tx, userId: UserId, except?: DeviceId): Promise<DeviceId[]> {
    const devices = await this.#deps.devices.listForUser(tx, userId)
    const deviceIds = devices.map((device) => device.deviceId).filter((deviceId) => deviceId !== except)
    await this.deleteIn(tx, userId, deviceIds)
    return deviceIds
  }

  /** Tells those who follow the user's device list that these devices have changed. */
  async recordChange(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    if (deviceIds.length === 0) return
    const streamIds = await this.#deps.streamIds.allocate(tx, deviceIds.length)
    const changes: { userId: UserId; deviceId: DeviceId; streamId: number }[] = []
    deviceIds.forEach((deviceId, index) => {
      const streamId = streamIds[index]
      if (streamId !== undefined) changes.push({ userId, deviceId, streamId })
    })
    await this.#deps.devices.recordChanges(tx, changes)
    tx.afterCommit(() => this.#deps.positions.onNewPosition('device_lists', { users: [userId] }))
  }

  /** Whether the user has such a device. */
  async exists(q: Query, userId: UserId, deviceId: string): Promise<boolean> {
    return (await this.#deps.devices.get(q, userId, deviceId)) !== undefined
  }

  /**
   * Devices and cross-signing keys sign under their names: nobody shall take one for the other.
   * https://spec.matrix.org/latest/client-server-api/#key-and-signature-security
   */
  async #checkAreNoKeys(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    const keys = Object.values(await this.#deps.crossSigning.get(tx, userId))
    const names = new Set<string>(keys.map((key) => key.publicKey))
    if (deviceIds.some((deviceId) => names.has(deviceId)))
      throw invalidParam('The device ID is that of a cross-signing key')
  }

  async #insert(
    tx: Tx,
    userId: UserId,
    deviceId: DeviceId,
    displayName: string | undefined,
  ): Promise<boolean> {
    const isNew = await this.#deps.devices.insert(tx, {
      userId,
      deviceId,
      displayName: displayName?.slice(0, MAX_DISPLAY_NAME_LENGTH),
      createdTs: this.#deps.clock.now(),
    })
    // Others are to know of devices before these have keys: https://spec.matrix.org/latest/server-server-api/#device-management
    if (isNew) await this.recordChange(tx, userId, [deviceId])
    return isNew
  }
}

function checkDeviceId(deviceId: string): void {
  if (deviceId === '' || Buffer.byteLength(deviceId) > MAX_DEVICE_ID_BYTES) {
    throw invalidParam(`A device ID has 1 to ${MAX_DEVICE_ID_BYTES} bytes`)
  }
}
