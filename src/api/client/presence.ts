import { z } from 'zod'
import { route } from '../../http/route.js'
import { optionalString } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3presenceuseridstatus */
export const setPresence = route({
  operationId: 'setPresence',
  method: 'PUT',
  path: '/_matrix/client/v3/presence/:userId/status',
  auth: 'user',
  rateLimit: 'presence',
  body: z.looseObject({ presence: z.string(), status_msg: optionalString }),
  handler({ params, requester, body }, { presence }) {
    presence.set(requester, params.userId, { state: body.presence, statusMsg: body.status_msg })
    return Promise.resolve({})
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3presenceuseridstatus */
export const getPresence = route({
  operationId: 'getPresence',
  method: 'GET',
  path: '/_matrix/client/v3/presence/:userId/status',
  auth: 'user',
  handler({ params, requester }, { presence }) {
    return presence.get(requester, params.userId)
  },
})
