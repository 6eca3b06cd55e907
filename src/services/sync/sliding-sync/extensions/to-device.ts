import { badJson, invalidParam } from '../../../../protocol/errors.js'
import type { Database } from '../../../../storage/database.js'
import type { JsonObject } from '../../../../util/json.js'
import type { ToDevice } from '../../../devices/to-device.js'
import type { Extension, ExtensionFrame, ExtensionResult } from './extension.js'

const MAX_MESSAGES = 100
const TOKEN = /^\d{1,15}$/

/**
 * Messages to the device. `since` says what it has received, apart from the connection's position; what it has received
 * is deleted. https://github.com/matrix-org/matrix-spec-proposals/pull/3885
 */
export class ToDeviceExtension implements Extension {
  readonly #db: Database
  readonly #toDevice: Pick<ToDevice, 'list' | 'acknowledge'>

  constructor(db: Database, toDevice: Pick<ToDevice, 'list' | 'acknowledge'>) {
    this.#db = db
    this.#toDevice = toDevice
  }

  async load({ viewer, now }: ExtensionFrame, settings: JsonObject): Promise<ExtensionResult> {
    const { userId, deviceId } = viewer
    const since = parseSince(settings)
    const limit = parseLimit(settings)
    const upTo = now.toDevice
    if (deviceId === undefined || since > upTo)
      return { json: { next_batch: String(Math.max(since, upTo)), events: [] }, hasNews: false }
    await this.#toDevice.acknowledge(userId, deviceId, since)
    const messages =
      limit === 0
        ? { events: [], upTo: since }
        : await this.#toDevice.list(this.#db.reader, userId, deviceId, { after: since, upTo, limit })
    const { events } = messages
    return { json: { next_batch: String(messages.upTo), events }, hasNews: events.length > 0 }
  }
}

function parseSince({ since }: JsonObject): number {
  if (since === undefined || since === null) return 0
  if (typeof since !== 'string') throw badJson('extensions: to_device.since must be a string')
  if (!TOKEN.test(since)) throw invalidParam('extensions: to_device.since is no token of this server')
  return Number(since)
}

function parseLimit({ limit }: JsonObject): number {
  if (limit === undefined || limit === null) return MAX_MESSAGES
  if (typeof limit !== 'number' || !Number.isInteger(limit))
    throw badJson('extensions: to_device.limit must be an integer')
  if (limit < 0) throw invalidParam('extensions: to_device.limit must not be negative')
  return Math.min(limit, MAX_MESSAGES)
}
