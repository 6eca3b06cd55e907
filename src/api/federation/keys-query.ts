import { z } from 'zod'
import { route } from '../../http/route.js'
import { badJson, invalidParam } from '../../protocol/errors.js'
import { parseServerName } from '../../protocol/ids.js'
import type { KeyWish } from '../../services/remote/key-fetcher.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'

/** Servers, and keys of each, that one question may name. */
const MAX_SERVERS = 500
const MAX_KEYS = 100

const validUntil = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional()

/** https://spec.matrix.org/latest/server-server-api/#get_matrixkeyv2queryservername */
export const perspectivesKeyQuery = route({
  operationId: 'federationPerspectivesKeyQuery',
  method: 'GET',
  path: '/_matrix/key/v2/query/:serverName',
  auth: 'none',
  query: z.looseObject({ minimum_valid_until_ts: validUntil }),
  async handler({ params, query }, { keyNotary }) {
    const { serverName } = params
    const wish = { serverName, keyIds: [], validAtTs: query.minimum_valid_until_ts ?? 0 }
    return { server_keys: await keyNotary.query([wish]) }
  },
})

/** As above, for one of the keys: an older form. */
export const perspectivesKeyQueryById = route({
  operationId: 'federationPerspectivesKeyQueryById',
  method: 'GET',
  path: '/_matrix/key/v2/query/:serverName/:keyId',
  auth: 'none',
  query: z.looseObject({ minimum_valid_until_ts: validUntil }),
  async handler({ params, query }, { keyNotary }) {
    const { serverName, keyId } = params
    const wish = { serverName, keyIds: [keyId], validAtTs: query.minimum_valid_until_ts ?? 0 }
    return { server_keys: await keyNotary.query([wish]) }
  },
})

/** https://spec.matrix.org/latest/server-server-api/#post_matrixkeyv2query */
export const bulkPerspectivesKeyQuery = route({
  operationId: 'federationBulkPerspectivesKeyQuery',
  method: 'POST',
  path: '/_matrix/key/v2/query',
  auth: 'none',
  body: z.looseObject({ server_keys: z.record(z.string(), z.unknown()) }),
  async handler({ body }, { keyNotary }) {
    const servers = Object.entries(body.server_keys as JsonObject)
    if (servers.length > MAX_SERVERS) throw invalidParam(`At most ${MAX_SERVERS} servers can be asked for`)
    return { server_keys: await keyNotary.query(servers.map(([name, keys]) => toWish(name, keys))) }
  },
})

function toWish(name: string, keys: JsonValue): KeyWish {
  const serverName = parseServerName(name)
  if (serverName === undefined) throw invalidParam(`server_keys: ${name.slice(0, 255)} is no server name`)
  if (!isJsonObject(keys)) throw badJson(`server_keys.${serverName}: not an object`)
  const entries = Object.entries(keys)
  if (entries.length > MAX_KEYS) throw invalidParam(`At most ${MAX_KEYS} keys of a server can be asked for`)
  const times = entries.map(([, criteria]) => validUntilOf(criteria))
  return { serverName, keyIds: entries.map(([keyId]) => keyId), validAtTs: Math.max(0, ...times) }
}

function validUntilOf(criteria: JsonValue): number {
  if (!isJsonObject(criteria)) throw badJson('server_keys: the criteria of a key are no object')
  const ts = criteria['minimum_valid_until_ts'] ?? 0
  if (typeof ts === 'number' && Number.isSafeInteger(ts) && ts >= 0) return ts
  throw badJson('minimum_valid_until_ts: not a time')
}
