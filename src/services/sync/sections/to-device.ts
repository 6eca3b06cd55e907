import type { Database } from '../../../storage/database.js'
import type { JsonObject } from '../../../util/json.js'
import type { ToDevice } from '../../devices/to-device.js'
import type { SyncFrame } from '../sync-frame.js'

/** Messages of one answer at most; the next brings the others. */
const MAX_MESSAGES = 100

/**
 * Messages to the device. They are deleted when the device comes back with the token of the answer that held them.
 * https://spec.matrix.org/latest/client-server-api/#extensions-to-sync
 */
export class ToDeviceSection {
  readonly #db: Database
  readonly #toDevice: Pick<ToDevice, 'list' | 'acknowledge'>

  constructor(db: Database, toDevice: Pick<ToDevice, 'list' | 'acknowledge'>) {
    this.#db = db
    this.#toDevice = toDevice
  }

  /** The messages, and the position up to which the answer's token acknowledges them. */
  async load({ request, since, now }: SyncFrame): Promise<{ events: JsonObject[]; upTo: number }> {
    const { userId, deviceId } = request.viewer
    if (deviceId === undefined) return { events: [], upTo: now.toDevice }
    if (since !== undefined)
      await this.#toDevice.acknowledge(userId, deviceId, Math.min(since.toDevice, now.toDevice))
    return this.#toDevice.list(this.#db.reader, userId, deviceId, { upTo: now.toDevice, limit: MAX_MESSAGES })
  }
}
