import { z } from 'zod'
import { route } from '../../http/route.js'
import { jsonObject } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid */
export const sendToDevice = route({
  operationId: 'sendToDevice',
  method: 'PUT',
  path: '/_matrix/client/v3/sendToDevice/:eventType/:txnId',
  auth: 'userOrGuest',
  dedupe: 'txnId',
  allowNul: true,
  body: z.looseObject({ messages: jsonObject }),
  async handler({ params, requester, body }, { toDevice }) {
    await toDevice.send(requester.userId, params.eventType, body.messages)
    return {}
  },
})
