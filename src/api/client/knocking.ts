import { route } from '../../http/route.js'
import { reasonBody } from './membership-body.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3knockroomidoralias */
export const knockRoom = route({
  operationId: 'knockRoom',
  method: 'POST',
  path: '/_matrix/client/v3/knock/:roomIdOrAlias',
  auth: 'user',
  rateLimit: 'message',
  allowNul: true,
  emptyBody: true,
  body: reasonBody,
  async handler({ params, requester, body }, { roomMembership }) {
    const roomId = await roomMembership.findRoomId(params.roomIdOrAlias)
    await roomMembership.knock(requester, roomId, body.reason)
    return { room_id: roomId }
  },
})
