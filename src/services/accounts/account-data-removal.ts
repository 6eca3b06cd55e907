import type { DeviceId, RoomId, UserId } from '../../protocol/ids.js'
import type { Tx } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { DeviceCleanup } from '../devices/devices.js'
import type { PositionSink } from '../streams/notifier.js'

export interface AccountDataRemovalDependencies {
  readonly accountData: Pick<AccountDataStore, 'remove'>
  readonly streamIds: Pick<StreamIdGenerator, 'allocate'>
  readonly positions: PositionSink
}

/** Types of what clients keep for one of the user's devices, but for the device ID at the end. */
const DEVICE_SETTINGS = ['m.local_notification_settings.', 'org.matrix.msc3890.local_notification_settings.']

/**
 * Removes account data: clients that were given it are told once that it is empty, others never hear of it.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/3391
 */
export class AccountDataRemoval implements DeviceCleanup {
  readonly #deps: AccountDataRemovalDependencies

  constructor(deps: AccountDataRemovalDependencies) {
    this.#deps = deps
  }

  /** What is not there does no harm. */
  async removeIn(
    tx: Tx,
    userId: UserId,
    { roomId, types }: { readonly roomId: RoomId | undefined; readonly types: readonly string[] },
  ): Promise<void> {
    const [streamId] = await this.#deps.streamIds.allocate(tx, 1)
    if (streamId === undefined) throw new Error('No position of the account data stream was allocated')
    if ((await this.#deps.accountData.remove(tx, userId, { roomId, types, streamId })) === 0) return
    tx.afterCommit(() => this.#deps.positions.onNewPosition('account_data', { users: [userId] }))
  }

  /** Devices that are gone need no settings. https://github.com/matrix-org/matrix-spec-proposals/pull/3890 */
  async deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    const types = deviceIds.flatMap((deviceId) => DEVICE_SETTINGS.map((prefix) => prefix + deviceId))
    await this.removeIn(tx, userId, { roomId: undefined, types })
  }
}
