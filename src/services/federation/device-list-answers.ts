import { notFound } from '../../protocol/errors.js'
import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { DevicesStore } from '../../storage/stores/devices.js'
import type { FederationOutboxStore } from '../../storage/stores/federation-outbox.js'
import type { JsonObject } from '../../util/json.js'
import type { LocalKeys } from '../devices/local-keys.js'

interface Dependencies {
  readonly db: Database
  readonly serverName: ServerName
  readonly deviceStore: Pick<DevicesStore, 'getLastChange'>
  readonly outbox: Pick<FederationOutboxStore, 'markDeviceListFetched'>
  readonly localKeys: Pick<LocalKeys, 'describe'>
}

/** Tells other servers of the devices of this server's users. */
export class DeviceListAnswers {
  readonly #deps: Dependencies

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /**
   * All devices of a user that have keys, for a server that begins to follow them: the next change that it is told of
   * follows on this. Throws `M_NOT_FOUND` for users of other servers.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1userdevicesuserid
   */
  async list(origin: ServerName, userId: UserId): Promise<JsonObject> {
    const { db, serverName, deviceStore, outbox, localKeys } = this.#deps
    if (serverNameOf(userId) !== serverName) throw notFound('The user is not one of this server')
    // Before the devices are read: a change between is told again.
    const streamId = await deviceStore.getLastChange(db.reader, userId)
    const published = (await localKeys.describe([userId])).get(userId)
    if (streamId > 0) {
      await db.write('device_list_fetched', (tx) =>
        outbox.markDeviceListFetched(tx, origin, userId, streamId),
      )
    }
    return {
      user_id: userId,
      stream_id: streamId,
      devices: [...(published?.devices ?? [])].flatMap(([deviceId, { keys, displayName }]) =>
        keys === undefined
          ? []
          : [
              {
                device_id: deviceId,
                keys,
                ...(displayName !== undefined && { device_display_name: displayName }),
              },
            ],
      ),
      ...(published?.master !== undefined && { master_key: published.master }),
      ...(published?.selfSigning !== undefined && { self_signing_key: published.selfSigning }),
    }
  }
}
