import { z } from 'zod'
import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1hierarchyroomid */
export const getSpaceHierarchy = route({
  operationId: 'federationGetSpaceHierarchy',
  method: 'GET',
  path: '/_matrix/federation/v1/hierarchy/:roomId',
  aliases: ['/_matrix/federation/unstable/org.matrix.msc2946/hierarchy/:roomId'],
  auth: 'federation',
  query: z.looseObject({ suggested_only: z.enum(['true', 'false']).default('false') }),
  async handler({ params, query, requester }, { spaceHierarchy }) {
    return spaceHierarchy.listForServer(requester.origin, {
      roomId: params.roomId,
      suggestedOnly: query.suggested_only === 'true',
    })
  },
})
