import { badJson, invalidParam } from '../../protocol/errors.js'
import { parseUserId, serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'
import type { KeyQuery, LocalKeys } from './local-keys.js'
import type { RemoteKeys } from './remote-keys.js'

export interface KeyQueriesDependencies {
  readonly localKeys: Pick<LocalKeys, 'query'>
  /** Without it, other servers cannot be asked. */
  readonly remoteKeys?: Pick<RemoteKeys, 'query'> | undefined
  readonly serverName: ServerName
}

/** Users asked for in one request. */
const MAX_USERS = 10_000

/** Tells people each other's public keys. https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3keysquery */
export class KeyQueries {
  readonly #deps: KeyQueriesDependencies

  constructor(deps: KeyQueriesDependencies) {
    this.#deps = deps
  }

  /**
   * The keys of users, as `viewerId` may see them: the body of the answer. Servers that cannot be asked are under
   * `failures`, also those that take longer than `timeoutMs`. `wanted`: of the request, device IDs by user. Throws
   * `M_BAD_JSON`, `M_INVALID_PARAM`.
   */
  async query(
    viewerId: UserId,
    wanted: JsonObject,
    options: { timeoutMs?: number | undefined } = {},
  ): Promise<JsonObject> {
    const query = parseKeyQuery(wanted)
    const isLocal = (userId: UserId): boolean => serverNameOf(userId) === this.#deps.serverName
    const local = new Map([...query].filter(([userId]) => isLocal(userId)))
    const remote = new Map([...query].filter(([userId]) => !isLocal(userId)))
    const [own, others] = await Promise.all([
      this.#deps.localKeys.query(viewerId, local),
      this.#queryRemote(viewerId, remote, options.timeoutMs),
    ])
    return merge(own, others)
  }

  async #queryRemote(viewerId: UserId, query: KeyQuery, timeoutMs: number | undefined): Promise<JsonObject> {
    const { remoteKeys } = this.#deps
    if (query.size === 0) return { failures: {} }
    if (remoteKeys === undefined) return { failures: failuresOf([...query.keys()]) }
    return remoteKeys.query(viewerId, query, { timeoutMs })
  }

  /**
   * The keys of this server's users, as other servers may see them; users of others are left out. Throws as `query`.
   * https://spec.matrix.org/latest/server-server-api/#post_matrixfederationv1userkeysquery
   */
  async queryForServer(wanted: JsonObject): Promise<JsonObject> {
    const query = parseKeyQuery(wanted)
    const local = [...query].filter(([userId]) => serverNameOf(userId) === this.#deps.serverName)
    return this.#deps.localKeys.query(undefined, new Map(local))
  }
}

/** An entry under `failures` for the server of each of these users. */
export function failuresOf(userIds: readonly UserId[]): JsonObject {
  const servers = new Set(userIds.map(serverNameOf))
  return Object.fromEntries([...servers].map((server) => [server, { status: 503, message: 'Not reachable' }]))
}

function parseKeyQuery(wanted: JsonObject): KeyQuery {
  const entries = Object.entries(wanted)
  if (entries.length > MAX_USERS) throw invalidParam(`A request may name ${MAX_USERS} users`)
  return new Map(
    entries.map(([user, deviceIds]) => {
      const userId = parseUserId(user)
      if (userId === undefined) throw invalidParam(`Not a user ID: ${user.slice(0, 255)}`)
      if (!Array.isArray(deviceIds) || !deviceIds.every((deviceId) => typeof deviceId === 'string')) {
        throw badJson('The devices of a user are a list of device IDs')
      }
      return [userId, deviceIds]
    }),
  )
}

/** Answers whose parts are objects by user or server, about different ones. */
function merge(a: JsonObject, b: JsonObject): JsonObject {
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return Object.fromEntries(
    [...names].map((name) => [name, { ...(a[name] as JsonObject), ...(b[name] as JsonObject) }]),
  )
}
