import type { Query } from '../../storage/database.js'
import type { DevicesStore } from '../../storage/stores/devices.js'
import type { UserId } from '../../protocol/ids.js'

/** Half-open range of positions: after `since`, up to and including `upTo`. */
export interface DeviceListRange {
  readonly since: number
  readonly upTo: number
}

/** Ranges of so many changes are read as a whole rather than by user. */
const SHORT_RANGE = 500

/** Whose devices have changed. https://spec.matrix.org/latest/client-server-api/#extensions-to-sync-1 */
export class DeviceLists {
  readonly #devices: DevicesStore

  constructor(devices: DevicesStore) {
    this.#devices = devices
  }

  /** Who of these users had a device change in the range: one statement at most. */
  async changedUsers(q: Query, userIds: readonly UserId[], range: DeviceListRange): Promise<UserId[]> {
    const { since, upTo } = range
    if (userIds.length === 0 || since >= upTo) return []
    if (upTo - since > SHORT_RANGE) {
      return [...(await this.#devices.listChangedUsers(q, userIds, since, upTo))]
    }
    const changed = await this.#devices.listAllChangedUsers(q, since, upTo)
    if (changed.size === 0) return []
    return userIds.filter((userId) => changed.has(userId))
  }
}
