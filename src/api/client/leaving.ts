import { route } from '../../http/route.js'
import { reasonBody } from './membership-body.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidleave */
export const leaveRoom = route({
  operationId: 'leaveRoom',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/leave',
  auth: 'userOrGuest',
  rateLimit: 'message',
  allowNul: true,
  emptyBody: true,
  body: reasonBody,
  async handler({ params, requester, body }, { roomMembership }) {
    await roomMembership.leave(requester, params.roomId, body.reason)
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidforget */
export const forgetRoom = route({
  operationId: 'forgetRoom',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/forget',
  auth: 'user',
  async handler({ params, requester }, { roomMembership }) {
    await roomMembership.forget(requester, params.roomId)
    return {}
  },
})
