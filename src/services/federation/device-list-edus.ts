import type { DeviceId, ServerName, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { FederationOutboxStore, OutboxDeviceChange } from '../../storage/stores/federation-outbox.js'
import type { JsonObject } from '../../util/json.js'
import type { LocalKeys, PublishedKeys } from '../devices/local-keys.js'
import type { EduJson } from './outgoing-edus.js'

interface Dependencies {
  readonly db: Database
  readonly outbox: Pick<FederationOutboxStore, 'listDeviceListsSent'>
  readonly localKeys: Pick<LocalKeys, 'describe'>
}

/** What other servers are told of changes of our users' devices, as those are when it is sent. */
export class DeviceListEdus {
  readonly #deps: Dependencies

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /**
   * The EDUs that tell a destination of changes, in their order: of each user's devices, every EDU names the one before.
   * https://spec.matrix.org/latest/server-server-api/#device-management
   */
  async build(destination: ServerName, changes: readonly OutboxDeviceChange[]): Promise<EduJson[]> {
    if (changes.length === 0) return []
    const { db, outbox, localKeys } = this.#deps
    const userIds = [...new Set(changes.map(({ userId }) => userId))]
    const [published, sent] = await Promise.all([
      localKeys.describe(userIds),
      outbox.listDeviceListsSent(db.reader, destination, userIds),
    ])
    return changes.map((change) => {
      const keys = published.get(change.userId)
      if (change.deviceId === '') return signingKeyUpdate(change.userId, keys)
      const previous = sent.get(change.userId)
      sent.set(change.userId, change.streamId)
      return deviceListUpdate(change, previous, keys?.devices.get(change.deviceId))
    })
  }
}

/** https://spec.matrix.org/latest/server-server-api/#definition-mdevice_list_update */
function deviceListUpdate(
  { userId, deviceId, streamId }: { userId: UserId; deviceId: DeviceId; streamId: number },
  previous: number | undefined,
  device: { readonly keys: JsonObject | undefined; readonly displayName: string | undefined } | undefined,
): EduJson {
  const content: JsonObject = {
    user_id: userId,
    device_id: deviceId,
    stream_id: streamId,
    prev_id: previous === undefined ? [] : [previous],
    ...(device === undefined && { deleted: true }),
    ...(device?.keys !== undefined && { keys: device.keys }),
    ...(device?.displayName !== undefined && { device_display_name: device.displayName }),
  }
  return { edu_type: 'm.device_list_update', content }
}

/** https://spec.matrix.org/latest/server-server-api/#definition-msigning_key_update */
function signingKeyUpdate(userId: UserId, keys: PublishedKeys | undefined): EduJson {
  const content: JsonObject = {
    user_id: userId,
    ...(keys?.master !== undefined && { master_key: keys.master }),
    ...(keys?.selfSigning !== undefined && { self_signing_key: keys.selfSigning }),
  }
  return { edu_type: 'm.signing_key_update', content }
}
