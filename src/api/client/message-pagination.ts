import { z } from 'zod'
import { route } from '../../http/route.js'
import { direction, filterParam, limitParam, tokenParam } from './pagination-params.js'

const DEFAULT_LIMIT = 10

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidmessages */
export const getRoomEvents = route({
  operationId: 'getRoomEvents',
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/messages',
  auth: 'userOrGuest',
  query: z.looseObject({
    from: z.string().optional(),
    to: z.string().optional(),
    // Required by the specification; other servers take its absence for forwards.
    dir: direction.default('f'),
    limit: limitParam,
    filter: z.string().optional(),
  }),
  async handler({ params, query, requester }, { pagination }) {
    const filter = filterParam(query.filter)
    return pagination.listMessages(requester, {
      roomId: params.roomId,
      direction: query.dir,
      from: tokenParam(query.from, 'from'),
      to: tokenParam(query.to, 'to'),
      limit: query.limit ?? filter.limit ?? DEFAULT_LIMIT,
      filter,
    })
  },
})
