import { z } from 'zod'
import { route } from '../../http/route.js'
import { filterParam, limitParam } from './pagination-params.js'

const DEFAULT_LIMIT = 10

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidcontexteventid */
export const getEventContext = route({
  operationId: 'getEventContext',
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/context/:eventId',
  auth: 'userOrGuest',
  query: z.looseObject({ limit: limitParam, filter: z.string().optional() }),
  async handler({ params, query, requester }, { eventContext }) {
    const filter = filterParam(query.filter)
    return eventContext.get(requester, { ...params, filter, limit: query.limit ?? DEFAULT_LIMIT })
  },
})
