import { z } from 'zod'
import { route } from '../../http/route.js'
import { jsonObject } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid */
export const sendMessage = route({
  operationId: 'sendMessage',
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/:roomId/send/:eventType/:txnId',
  auth: 'userOrGuest',
  allowNul: true,
  query: z.looseObject({ ts: z.coerce.number().int().optional() }),
  body: jsonObject,
  async handler({ params, query, requester, body }, { roomSending, presence }) {
    presence.onActivity(requester)
    const { roomId, eventType: type, txnId } = params
    const eventId = await roomSending.sendMessage(requester, {
      roomId,
      type,
      txnId,
      content: body,
      ts: query.ts,
    })
    return { event_id: eventId }
  },
})
