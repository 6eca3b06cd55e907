import { z } from 'zod'
import { route } from '../../http/route.js'
import { invalidParam } from '../../protocol/errors.js'
import { parseSince, STREAM_START } from '../../protocol/stream-token.js'
import { jsonObject, optionalJsonObject } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3keysupload */
export const uploadKeys = route({
  operationId: 'uploadKeys',
  method: 'POST',
  path: '/_matrix/client/v3/keys/upload',
  auth: 'userOrGuest',
  body: z.looseObject({
    device_keys: optionalJsonObject,
    one_time_keys: optionalJsonObject,
    fallback_keys: optionalJsonObject,
    'org.matrix.msc2732.fallback_keys': optionalJsonObject,
  }),
  async handler({ requester, body }, { e2eKeys }) {
    const { userId, deviceId } = requester
    if (deviceId === undefined) throw invalidParam('This session has no device whose keys these could be')
    const counts = await e2eKeys.upload(
      { userId, deviceId },
      {
        deviceKeys: body.device_keys,
        oneTimeKeys: body.one_time_keys,
        fallbackKeys: body.fallback_keys ?? body['org.matrix.msc2732.fallback_keys'],
      },
    )
    return { one_time_key_counts: { ...counts } }
  },
})

/** How long the client waits for other servers, in milliseconds. */
const timeout = z.number().int().min(0).nullish()

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3keysquery */
export const queryKeys = route({
  operationId: 'queryKeys',
  method: 'POST',
  path: '/_matrix/client/v3/keys/query',
  auth: 'userOrGuest',
  body: z.looseObject({ device_keys: jsonObject, timeout }),
  async handler({ requester, body }, { keyQueries }) {
    return keyQueries.query(requester.userId, body.device_keys, { timeoutMs: body.timeout ?? undefined })
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3keysclaim */
export const claimKeys = route({
  operationId: 'claimKeys',
  method: 'POST',
  path: '/_matrix/client/v3/keys/claim',
  auth: 'userOrGuest',
  body: z.looseObject({ one_time_keys: jsonObject, timeout }),
  async handler({ body }, { keyClaims }) {
    return keyClaims.claim(body.one_time_keys, { timeoutMs: body.timeout ?? undefined })
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3keyschanges */
export const getKeysChanges = route({
  operationId: 'getKeysChanges',
  method: 'GET',
  path: '/_matrix/client/v3/keys/changes',
  auth: 'userOrGuest',
  // Older clients leave `to` out: they mean now.
  query: z.looseObject({ from: z.string(), to: z.string().optional() }),
  async handler({ requester, query }, { deviceListChanges }) {
    // Who comes from before the beginning is told of everybody.
    const from = parseSince(query.from) ?? STREAM_START
    const to = query.to === undefined || query.to === '' ? undefined : parseSince(query.to)
    const { changed, left } = await deviceListChanges.list(requester.userId, from, to)
    return { changed: [...changed], left: [...left] }
  },
})
