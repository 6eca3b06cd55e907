import { z } from 'zod'
import { route } from '../../http/route.js'
import type { JsonObject } from '../../util/json.js'

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid */
export const redactEvent = route({
  operationId: 'redactEvent',
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/:roomId/redact/:eventId/:txnId',
  auth: 'user',
  allowNul: true,
  emptyBody: true,
  body: z.looseObject({ reason: z.string().optional() }),
  async handler({ params, requester, body }, { roomSending }) {
    const { roomId, eventId, txnId } = params
    const content = body as JsonObject
    return { event_id: await roomSending.redact(requester, { roomId, eventId, txnId, content }) }
  },
})
