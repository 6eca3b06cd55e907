import { z } from 'zod'
import { route } from '../../http/route.js'
import { identifierBody, toIdentifierWish } from './identifier-body.js'
import { targetBody } from './membership-body.js'

/** Who is known by no user ID is named by an identifier, together with an identity server. */
const inviteBody = z.union([targetBody, identifierBody])

/**
 * https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidinvite
 * https://spec.matrix.org/latest/client-server-api/#thirdparty_post_matrixclientv3roomsroomidinvite
 */
export const inviteUser = route({
  operationId: 'inviteUser',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/invite',
  auth: 'user',
  allowNul: true,
  body: inviteBody,
  async handler({ params, requester, body }, { identifierInvitations, roomMembership }) {
    if (isTarget(body)) {
      const { user_id: userId, reason } = body
      await roomMembership.invite(requester, params.roomId, { userId, reason })
    } else await identifierInvitations.invite(requester, params.roomId, { wish: toIdentifierWish(body) })
    return {}
  },
})

function isTarget(body: z.infer<typeof inviteBody>): body is z.infer<typeof targetBody> {
  return typeof body['user_id'] === 'string'
}
