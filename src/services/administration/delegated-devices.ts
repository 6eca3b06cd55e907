import { notFound } from '../../protocol/errors.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { DehydratedDevicesStore } from '../../storage/stores/dehydrated-devices.js'
import type { Devices } from '../devices/devices.js'
import type { DelegatedAccounts } from './delegated-accounts.js'

export interface DelegatedDevicesDependencies {
  readonly db: Database
  readonly devices: Pick<Devices, 'create' | 'delete' | 'exists' | 'rename' | 'setAllIn'>
  readonly dehydratedDevices: Pick<DehydratedDevicesStore, 'get'>
  readonly accounts: Pick<DelegatedAccounts, 'requireUser'>
}

const MAX_DISPLAY_NAME_LENGTH = 100

/**
 * The devices of sessions that an authentication service begins and ends. All throw `M_NOT_FOUND` for users that are not
 * there.
 */
export class DelegatedDevices {
  readonly #deps: DelegatedDevicesDependencies

  constructor(deps: DelegatedDevicesDependencies) {
    this.#deps = deps
  }

  /**
   * The device of a session that begins, perhaps a known one. Gives whether it is new. Names that are too long are cut,
   * since nobody should be kept out by one. Throws `M_INVALID_PARAM` for IDs that no device may have.
   */
  async put(localpart: string, deviceId: string, displayName: string | undefined): Promise<boolean> {
    const { devices } = this.#deps
    const userId = await this.#deps.accounts.requireUser(localpart)
    const isNew = await devices.create(userId, deviceId as DeviceId, displayName)
    if (isNew || displayName === undefined) return isNew
    await this.#rename(userId, deviceId, displayName.slice(0, MAX_DISPLAY_NAME_LENGTH))
    return false
  }

  /** Does nothing where there is no such device. */
  async delete(localpart: string, deviceId: string): Promise<void> {
    await this.#deps.devices.delete(await this.#deps.accounts.requireUser(localpart), [deviceId])
  }

  /** Throws `M_NOT_FOUND` also for devices that are not there, `M_TOO_LARGE` for names that are too long. */
  async rename(localpart: string, deviceId: string, displayName: string): Promise<void> {
    await this.#rename(await this.#deps.accounts.requireUser(localpart), deviceId, displayName)
  }

  /** These are all there are, beside the one that is put away, which has no session. Throws as `put`. */
  async sync(localpart: string, deviceIds: readonly string[]): Promise<void> {
    const { db, devices, dehydratedDevices } = this.#deps
    const userId = await this.#deps.accounts.requireUser(localpart)
    await db.write('sync_delegated_devices', async (tx) => {
      const dehydrated = await dehydratedDevices.get(tx, userId)
      await devices.setAllIn(tx, userId, deviceIds, dehydrated?.deviceId)
    })
  }

  async #rename(userId: UserId, deviceId: string, displayName: string): Promise<void> {
    const { db, devices } = this.#deps
    if (!(await devices.exists(db.reader, userId, deviceId))) throw notFound('No device with this ID')
    await devices.rename(userId, deviceId as DeviceId, displayName)
  }
}
