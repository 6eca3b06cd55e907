import { z } from 'zod'
import { route } from '../../http/route.js'
import { jsonObject } from './json-object.js'
import { delayQuery } from './unstable/delay-query.js'
import { stickyQuery } from './unstable/sticky-query.js'
import { timestampOf, timestampQuery } from './timestamp-query.js'

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey */
export const setRoomStateWithKey = route({
  operationId: 'setRoomStateWithKey',
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/:roomId/state/:eventType/:stateKey',
  auth: 'userOrGuest',
  allowNul: true,
  query: z.looseObject({ ...timestampQuery, ...delayQuery, ...stickyQuery }),
  body: jsonObject,
  async handler({ params, query, requester, body }, { roomSending, delayedEvents }) {
    const { roomId, eventType: type, stateKey } = params
    const delayMs = query['org.matrix.msc4140.delay']
    const ts = timestampOf(requester, query)
    const stickyMs = query['org.matrix.msc4354.sticky_duration_ms']
    if (delayMs !== undefined) {
      const input = { roomId, type, stateKey, content: body, ts, stickyMs, delayMs }
      return { delay_id: await delayedEvents.add(requester, input) }
    }
    const eventId = await roomSending.setState(requester, {
      roomId,
      type,
      stateKey,
      content: body,
      ts,
      stickyMs,
    })
    return { event_id: eventId }
  },
})
