import type { Database } from '../../../storage/database.js'
import type { JsonObject } from '../../../util/json.js'
import type { E2eKeys } from '../../devices/e2e-keys.js'
import type { SyncFrame } from '../sync-frame.js'

/**
 * How many keys the device has left: in every answer, since clients take it from there when to upload new ones.
 * https://spec.matrix.org/latest/client-server-api/#extensions-to-sync-1
 */
export class KeyCountsSection {
  readonly #db: Database
  readonly #e2eKeys: Pick<E2eKeys, 'getCounts'>

  constructor(db: Database, e2eKeys: Pick<E2eKeys, 'getCounts'>) {
    this.#db = db
    this.#e2eKeys = e2eKeys
  }

  /** The members of the answer; none where no device asks. */
  async load({ request }: SyncFrame): Promise<JsonObject> {
    const { userId, deviceId } = request.viewer
    if (deviceId === undefined) return {}
    const counts = await this.#e2eKeys.getCounts(this.#db.reader, { userId, deviceId })
    const unused = [...counts.unusedFallbackTypes]
    return {
      device_one_time_keys_count: { ...counts.oneTimeKeys },
      // Under both names: older clients look for the first only.
      'org.matrix.msc2732.device_unused_fallback_key_types': unused,
      device_unused_fallback_key_types: unused,
    }
  }
}
