import { z } from 'zod'
import { route } from '../../http/route.js'
import type { JsonObject } from '../../util/json.js'
import { randomToken } from '../../util/random.js'

const redactionBody = z.looseObject({ reason: z.string().optional() })

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid */
export const redactEvent = route({
  operationId: 'redactEvent',
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/:roomId/redact/:eventId/:txnId',
  auth: 'user',
  allowNul: true,
  emptyBody: true,
  body: redactionBody,
  async handler({ params, requester, body }, { roomSending }) {
    const { roomId, eventId, txnId } = params
    const content = body as JsonObject
    return { event_id: await roomSending.redact(requester, { roomId, eventId, txnId, content }) }
  },
})

/** As clients of the first versions redact, without a transaction. */
export const redactEventWithoutTransaction = route({
  operationId: 'redactEventWithoutTransaction',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/redact/:eventId',
  auth: 'user',
  allowNul: true,
  emptyBody: true,
  body: redactionBody,
  async handler({ params, requester, body }, { roomSending }) {
    const redaction = { ...params, txnId: randomToken(), content: body as JsonObject }
    return { event_id: await roomSending.redact(requester, redaction) }
  },
})
