import { z } from 'zod'
import { route } from '../../http/route.js'
import { limitParam } from './pagination-params.js'

const DEFAULT_LIMIT = 10

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1roomsroomidthreads */
export const getThreadRoots = route({
  operationId: 'getThreadRoots',
  method: 'GET',
  path: '/_matrix/client/v1/rooms/:roomId/threads',
  auth: 'userOrGuest',
  query: z.looseObject({
    include: z.enum(['all', 'participated']).default('all'),
    limit: limitParam.refine((limit) => limit !== 0, 'must be greater than zero'),
    from: z.string().optional(),
  }),
  async handler({ params, query, requester }, { threads }) {
    return threads.list(requester, {
      roomId: params.roomId,
      participatedOnly: query.include === 'participated',
      limit: query.limit ?? DEFAULT_LIMIT,
      from: query.from,
    })
  },
})
