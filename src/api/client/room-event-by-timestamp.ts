import { z } from 'zod'
import { route } from '../../http/route.js'
import { direction } from './pagination-params.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event */
export const getEventByTimestamp = route({
  operationId: 'getEventByTimestamp',
  method: 'GET',
  path: '/_matrix/client/v1/rooms/:roomId/timestamp_to_event',
  auth: 'userOrGuest',
  query: z.looseObject({
    ts: z
      .string()
      .regex(/^\d{1,15}$/, 'must be a time in milliseconds')
      .transform(Number),
    dir: direction,
  }),
  async handler({ params, query, requester }, { eventByTimestamp }) {
    const { ts, dir } = query
    const found = await eventByTimestamp.find(requester.userId, params.roomId, { ts, direction: dir })
    return { event_id: found.eventId, origin_server_ts: found.originServerTs }
  },
})
