import { route } from '../../http/route.js'
import { targetBody } from './membership-body.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidban */
export const ban = route({
  operationId: 'ban',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/ban',
  auth: 'user',
  rateLimit: 'message',
  allowNul: true,
  body: targetBody,
  async handler({ params, requester, body }, { roomMembership }) {
    await roomMembership.ban(requester, params.roomId, { userId: body.user_id, reason: body.reason })
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidunban */
export const unban = route({
  operationId: 'unban',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/unban',
  auth: 'user',
  rateLimit: 'message',
  allowNul: true,
  body: targetBody,
  async handler({ params, requester, body }, { roomMembership }) {
    await roomMembership.unban(requester, params.roomId, { userId: body.user_id, reason: body.reason })
    return {}
  },
})
