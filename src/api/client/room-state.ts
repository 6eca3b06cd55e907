import { z } from 'zod'
import { route } from '../../http/route.js'
import { jsonObject } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey */
export const setRoomStateWithKey = route({
  operationId: 'setRoomStateWithKey',
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/:roomId/state/:eventType/:stateKey',
  auth: 'userOrGuest',
  allowNul: true,
  query: z.looseObject({ ts: z.coerce.number().int().optional() }),
  body: jsonObject,
  async handler({ params, query, requester, body }, { roomSending }) {
    const { roomId, eventType: type, stateKey } = params
    const eventId = await roomSending.setState(requester, {
      roomId,
      type,
      stateKey,
      content: body,
      ts: query.ts,
    })
    return { event_id: eventId }
  },
})
