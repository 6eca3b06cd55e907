import { forbidden, invalidParam, notFound } from '../../protocol/errors.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type {
  DehydratedDeviceRecord,
  DehydratedDevicesStore,
} from '../../storage/stores/dehydrated-devices.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { JsonObject } from '../../util/json.js'
import type { Devices } from './devices.js'
import type { E2eKeys, KeysUpload } from './e2e-keys.js'
import type { ToDevice } from './to-device.js'

export interface DehydratedDevicesDependencies {
  readonly db: Database
  readonly dehydratedDevices: DehydratedDevicesStore
  readonly devices: Pick<Devices, 'deleteIn' | 'exists' | 'register'>
  readonly e2eKeys: Pick<E2eKeys, 'check' | 'storeIn'>
  readonly toDevice: Pick<ToDevice, 'list'>
  /** Of messages to devices. */
  readonly streamIds: Pick<StreamIdGenerator, 'position'>
}

/** A device that is to be put away, with its keys. */
export interface DehydratedDeviceUpload extends DehydratedDeviceRecord {
  readonly displayName: string | undefined
  readonly keys: KeysUpload
}

const MAX_EVENTS = 100
const TOKEN = /^d(\d{1,15})$/

/**
 * Devices that users put away for their next login: they receive messages in the meantime. Each user has one at most.
 * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/3814-dehydrated-devices-with-ssss.md
 */
export class DehydratedDevices {
  readonly #deps: DehydratedDevicesDependencies

  constructor(deps: DehydratedDevicesDependencies) {
    this.#deps = deps
  }

  /** Throws `M_NOT_FOUND` where the user has none. */
  async get(userId: UserId): Promise<DehydratedDeviceRecord> {
    const device = await this.#deps.dehydratedDevices.get(this.#deps.db.reader, userId)
    if (device === undefined) throw notFound('No dehydrated device')
    return device
  }

  /**
   * Puts a device away, with its keys, instead of the one before. Throws what is thrown for keys, and `M_INVALID_PARAM`
   * where another device has the ID.
   */
  async put(userId: UserId, upload: DehydratedDeviceUpload): Promise<void> {
    const { db, dehydratedDevices, devices, e2eKeys } = this.#deps
    const { deviceId, displayName, data } = upload
    const keys = await e2eKeys.check({ userId, deviceId }, upload.keys)
    await db.write('put_dehydrated_device', async (tx) => {
      const before = await dehydratedDevices.get(tx, userId)
      if (before !== undefined) await devices.deleteIn(tx, userId, [before.deviceId])
      if (await devices.exists(tx, userId, deviceId)) throw invalidParam('Another device has this ID')
      await devices.register(tx, userId, { deviceId, displayName })
      await dehydratedDevices.set(tx, userId, { deviceId, data })
      await e2eKeys.storeIn(tx, keys)
    })
  }

  /** Deletes the device and gives its ID. Throws `M_NOT_FOUND` where the user has none. */
  async delete(userId: UserId): Promise<DeviceId> {
    const { db, dehydratedDevices, devices } = this.#deps
    return db.write('delete_dehydrated_device', async (tx) => {
      const device = await dehydratedDevices.get(tx, userId)
      if (device === undefined) throw notFound('No dehydrated device')
      await devices.deleteIn(tx, userId, [device.deviceId])
      return device.deviceId
    })
  }

  /**
   * Messages that wait for the device, from `from` on, and where to go on: an empty list says that there are no more.
   * They stay until the device is deleted, so that whoever is interrupted can begin again. Throws `M_FORBIDDEN` for
   * another device, `M_INVALID_PARAM` for what is no such token.
   */
  async listEvents(
    userId: UserId,
    deviceId: DeviceId,
    from: string | undefined,
  ): Promise<{ events: JsonObject[]; nextBatch: string }> {
    const { db, dehydratedDevices, streamIds, toDevice } = this.#deps
    const after = parseToken(from)
    const device = await dehydratedDevices.get(db.reader, userId)
    if (device?.deviceId !== deviceId) throw forbidden('This is not your dehydrated device')
    const range = { after, upTo: Math.max(after, streamIds.position()), limit: MAX_EVENTS }
    const { events, upTo } = await toDevice.list(db.reader, userId, deviceId, range)
    return { events, nextBatch: `d${upTo}` }
  }
}

function parseToken(text: string | undefined): number {
  if (text === undefined) return 0
  const position = TOKEN.exec(text)?.[1]
  if (position === undefined) throw invalidParam('Not a token of this list')
  return Number(position)
}
