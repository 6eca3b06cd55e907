import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { Tx } from '../../storage/database.js'
import type { CrossSigningStore } from '../../storage/stores/cross-signing.js'
import type { DehydratedDevicesStore } from '../../storage/stores/dehydrated-devices.js'
import type { E2eKeysStore } from '../../storage/stores/e2e-keys.js'
import type { KeyBackupsStore } from '../../storage/stores/key-backups.js'
import type { DeviceCleanup } from './devices.js'

export interface KeyCleanupStores {
  readonly e2eKeys: E2eKeysStore
  readonly crossSigning: CrossSigningStore
  readonly keyBackups: KeyBackupsStore
  readonly dehydratedDevices: DehydratedDevicesStore
}

/** Deletes keys with what they belong to. */
export class KeyCleanup implements DeviceCleanup {
  readonly #stores: KeyCleanupStores

  constructor(stores: KeyCleanupStores) {
    this.#stores = stores
  }

  /** What devices have published, and the signatures of and by them. */
  async deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    await this.#stores.e2eKeys.deleteForDevices(tx, userId, deviceIds)
    await this.#stores.crossSigning.deleteSignatures(tx, userId, deviceIds)
    await this.#stores.dehydratedDevices.deleteForDevices(tx, userId, deviceIds)
  }

  /** What a user has besides devices: cross-signing keys and backups. */
  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await this.#stores.crossSigning.deleteForUser(tx, userId)
    await this.#stores.keyBackups.deleteForUser(tx, userId)
  }
}
