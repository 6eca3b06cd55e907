import { route } from '../../http/route.js'
import { targetBody } from './membership-body.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidkick */
export const kick = route({
  operationId: 'kick',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/kick',
  auth: 'user',
  rateLimit: 'message',
  allowNul: true,
  body: targetBody,
  async handler({ params, requester, body }, { roomMembership }) {
    await roomMembership.kick(requester, params.roomId, { userId: body.user_id, reason: body.reason })
    return {}
  },
})
