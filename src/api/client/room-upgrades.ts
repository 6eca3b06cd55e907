import { z } from 'zod'
import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidupgrade */
export const upgradeRoom = route({
  operationId: 'upgradeRoom',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/upgrade',
  auth: 'user',
  rateLimit: 'roomCreation',
  body: z.looseObject({
    new_version: z.string(),
    additional_creators: z.array(z.string()).nullish(),
  }),
  async handler({ params, requester, body }, { roomUpgrades }) {
    const roomId = await roomUpgrades.upgrade(requester, params.roomId, {
      newVersion: body.new_version,
      additionalCreators: body.additional_creators ?? [],
    })
    return { replacement_room: roomId }
  },
})
