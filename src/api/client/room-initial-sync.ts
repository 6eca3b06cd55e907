import { z } from 'zod'
import { route } from '../../http/route.js'
import { limitParam } from './pagination-params.js'

const DEFAULT_LIMIT = 20

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidinitialsync */
export const roomInitialSync = route({
  operationId: 'roomInitialSync',
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/initialSync',
  auth: 'userOrGuest',
  query: z.looseObject({ limit: limitParam }),
  async handler({ params, query, requester }, { roomInitialSync: initialSync }) {
    return initialSync.get(requester, params.roomId, query.limit ?? DEFAULT_LIMIT)
  },
})
