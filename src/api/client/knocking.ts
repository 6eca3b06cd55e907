import { route } from '../../http/route.js'
import { reasonBody } from './membership-body.js'
import { viaOf, viaQuery } from './via-query.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3knockroomidoralias */
export const knockRoom = route({
  operationId: 'knockRoom',
  method: 'POST',
  path: '/_matrix/client/v3/knock/:roomIdOrAlias',
  auth: 'user',
  rateLimit: 'message',
  allowNul: true,
  emptyBody: true,
  query: viaQuery,
  body: reasonBody,
  async handler({ params, requester, query, body }, { roomMembership }) {
    const { roomId, servers } = await roomMembership.findRoom(params.roomIdOrAlias)
    const via = [...viaOf(query), ...servers]
    await roomMembership.knock(requester, roomId, body.reason, via)
    return { room_id: roomId }
  },
})
