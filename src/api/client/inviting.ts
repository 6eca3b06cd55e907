import { z } from 'zod'
import { MatrixError } from '../../protocol/errors.js'
import { route } from '../../http/route.js'
import { targetBody } from './membership-body.js'

/** Invitations by third-party identifier name an identity server instead of a user. */
const inviteBody = z.union([targetBody, z.looseObject({ medium: z.string(), address: z.string() })])

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
  async handler({ params, requester, body }, { roomMembership }) {
    if (!('user_id' in body) || typeof body.user_id !== 'string') {
      throw new MatrixError(
        'M_THREEPID_DENIED',
        'Invitations by third-party identifiers are not allowed here',
      )
    }
    const reason = typeof body.reason === 'string' ? body.reason : undefined
    await roomMembership.invite(requester, params.roomId, { userId: body.user_id, reason })
    return {}
  },
})
