import { z } from 'zod'
import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3roomsroomidtypinguserid */
export const setTyping = route({
  operationId: 'setTyping',
  method: 'PUT',
  path: '/_matrix/client/v3/rooms/:roomId/typing/:userId',
  auth: 'userOrGuest',
  body: z.looseObject({ typing: z.boolean(), timeout: z.number().nullish() }),
  async handler({ params, requester, body }, { typing }) {
    await typing.set(requester, params, { typing: body.typing, timeoutMs: body.timeout ?? undefined })
    return {}
  },
})
