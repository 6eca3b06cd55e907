import { forbidden, invalidParam } from '../../protocol/errors.js'
import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { ClientIpsStore } from '../../storage/stores/client-ips.js'
import type { JsonObject } from '../../util/json.js'
import { pushTo } from '../../util/group-by.js'
import type { Requester } from './requester.js'

export interface WhoisDependencies {
  readonly db: Database
  readonly clientIps: ClientIpsStore
  /** Writes down what has been seen and is not in the database yet. */
  readonly sightings: { flush(): Promise<void> }
  readonly serverName: ServerName
}

/** The newest addresses, over all devices. */
const MAX_CONNECTIONS = 1_000

/** From where accounts are used. */
export class Whois {
  readonly #deps: WhoisDependencies

  constructor(deps: WhoisDependencies) {
    this.#deps = deps
  }

  /**
   * For the user themselves and administrators: `M_FORBIDDEN` for others, `M_INVALID_PARAM` for users of other servers.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3adminwhoisuserid
   */
  async get(requester: Requester, userId: UserId): Promise<JsonObject> {
    const { db, clientIps, sightings, serverName } = this.#deps
    if (requester.userId !== userId && !requester.isAdmin)
      throw forbidden('You are not a server administrator')
    if (serverNameOf(userId) !== serverName) throw invalidParam('User does not belong to the local server.')
    await sightings.flush()
    const devices = new Map<string, JsonObject[]>()
    for (const seen of await clientIps.listForUser(db.reader, userId, MAX_CONNECTIONS)) {
      const connection = { ip: seen.ip, last_seen: seen.lastSeenTs, user_agent: seen.userAgent }
      const deviceId = seen.deviceId ?? ''
      pushTo(devices, deviceId, connection)
    }
    return {
      user_id: userId,
      devices: Object.fromEntries(
        [...devices].map(([deviceId, connections]) => [deviceId, { sessions: [{ connections }] }]),
      ),
    }
  }
}
