import { z } from 'zod'
import { route, type RequestInfo } from '../../http/route.js'
import { MatrixError } from '../../protocol/errors.js'
import { randomToken } from '../../util/random.js'
import { delayQuery } from './unstable/delay-query.js'
import { stickyQuery } from './unstable/sticky-query.js'
import { timestampOf, timestampQuery } from './timestamp-query.js'
import { jsonObject } from './json-object.js'

/** A transaction that is repeated may come without. */
function hasBody({ headers }: RequestInfo): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid */
export const sendMessage = route({
  operationId: 'sendMessage',
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/:roomId/send/:eventType/:txnId',
  auth: 'userOrGuest',
  allowNul: true,
  query: z.looseObject({ ...timestampQuery, ...delayQuery, ...stickyQuery }),
  body: jsonObject,
  emptyBody: true,
  async handler({ params, query, requester, body, request }, { roomSending, presence, delayedEvents }) {
    presence.onActivity(requester)
    const { roomId, eventType: type, txnId } = params
    const delayMs = query['org.matrix.msc4140.delay']
    const ts = timestampOf(requester, query)
    const stickyMs = query['org.matrix.msc4354.sticky_duration_ms']
    if (delayMs !== undefined) {
      const known = await delayedEvents.findAdded(requester, { roomId, type, txnId })
      if (known !== undefined) return { delay_id: known }
    }
    if (!hasBody(request)) throw new MatrixError('M_NOT_JSON', 'The body must be JSON')
    if (delayMs !== undefined) {
      const input = { roomId, type, txnId, content: body, ts, stickyMs, delayMs }
      return { delay_id: await delayedEvents.add(requester, input) }
    }
    const eventId = await roomSending.sendMessage(requester, {
      roomId,
      type,
      txnId,
      content: body,
      ts,
      stickyMs,
    })
    return { event_id: eventId }
  },
})

/** As clients of the first versions send, whose events have no transaction: each request is another event. */
export const sendMessageWithoutTransaction = route({
  operationId: 'sendMessageWithoutTransaction',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/send/:eventType',
  auth: 'userOrGuest',
  allowNul: true,
  query: z.looseObject(timestampQuery),
  body: jsonObject,
  async handler({ params, query, requester, body }, { roomSending, presence }) {
    presence.onActivity(requester)
    const { roomId, eventType: type } = params
    const ts = timestampOf(requester, query)
    const event = { roomId, type, txnId: randomToken(), content: body, ts }
    return { event_id: await roomSending.sendMessage(requester, event) }
  },
})
