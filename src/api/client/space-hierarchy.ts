import { z } from 'zod'
import { repeatedParam } from '../../http/query.js'
import { route } from '../../http/route.js'
import { limitParam } from './pagination-params.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1roomsroomidhierarchy */
export const getSpaceHierarchy = route({
  operationId: 'getSpaceHierarchy',
  method: 'GET',
  path: '/_matrix/client/v1/rooms/:roomId/hierarchy',
  auth: 'userOrGuest',
  query: z.looseObject({
    suggested_only: z.enum(['true', 'false']).default('false'),
    limit: limitParam.refine((limit) => limit !== 0, 'must be greater than zero'),
    max_depth: z
      .string()
      .regex(/^\d{1,9}$/, 'must be a whole number, not negative')
      .transform(Number)
      .optional(),
    from: z.string().optional(),
    via: repeatedParam,
  }),
  async handler({ params, query, requester }, { spaceHierarchy }) {
    return spaceHierarchy.list(requester.userId, {
      roomId: params.roomId,
      via: query.via,
      suggestedOnly: query.suggested_only === 'true',
      maxDepth: query.max_depth,
      limit: query.limit,
      from: query.from,
    })
  },
})
