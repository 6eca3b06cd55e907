import { z } from 'zod'
import { route } from '../../http/route.js'
import type { JsonObject } from '../../util/json.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3useruseridroomsroomidtags */
export const getRoomTags = route({
  operationId: 'getRoomTags',
  method: 'GET',
  path: '/_matrix/client/v3/user/:userId/rooms/:roomId/tags',
  auth: 'user',
  async handler({ params, requester }, { accountData }) {
    return { tags: await accountData.getTags(requester, params.userId, params.roomId) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag */
export const setRoomTag = route({
  operationId: 'setRoomTag',
  method: 'PUT',
  path: '/_matrix/client/v3/user/:userId/rooms/:roomId/tags/:tag',
  auth: 'user',
  body: z.looseObject({ order: z.number().min(0).max(1).optional() }),
  async handler({ params, requester, body }, { accountData }) {
    await accountData.setTag(requester, params, { tag: params.tag, content: body as JsonObject })
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#delete_matrixclientv3useruseridroomsroomidtagstag */
export const deleteRoomTag = route({
  operationId: 'deleteRoomTag',
  method: 'DELETE',
  path: '/_matrix/client/v3/user/:userId/rooms/:roomId/tags/:tag',
  auth: 'user',
  async handler({ params, requester }, { accountData }) {
    await accountData.deleteTag(requester, params, params.tag)
    return {}
  },
})
