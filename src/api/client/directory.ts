import { z } from 'zod'
import { invalidParam } from '../../protocol/errors.js'
import { parseRoomId } from '../../protocol/ids.js'
import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3directoryroomroomalias */
export const setRoomAlias = route({
  operationId: 'setRoomAlias',
  method: 'PUT',
  path: '/_matrix/client/v3/directory/room/:roomAlias',
  auth: 'user',
  body: z.looseObject({ room_id: z.string() }),
  async handler({ params, requester, body }, { aliases }) {
    const roomId = parseRoomId(body.room_id)
    if (roomId === undefined) throw invalidParam('room_id is not a valid room ID')
    await aliases.create(requester, params.roomAlias, roomId)
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3directoryroomroomalias */
export const getRoomIdByAlias = route({
  operationId: 'getRoomIdByAlias',
  method: 'GET',
  path: '/_matrix/client/v3/directory/room/:roomAlias',
  auth: 'none',
  async handler({ params }, { aliases }) {
    const { roomId, servers } = await aliases.resolve(params.roomAlias)
    return { room_id: roomId, servers }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#delete_matrixclientv3directoryroomroomalias */
export const deleteRoomAlias = route({
  operationId: 'deleteRoomAlias',
  method: 'DELETE',
  path: '/_matrix/client/v3/directory/room/:roomAlias',
  auth: 'user',
  async handler({ params, requester }, { aliases }) {
    await aliases.delete(requester, params.roomAlias)
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidaliases */
export const getLocalAliases = route({
  operationId: 'getLocalAliases',
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/aliases',
  aliases: ['/_matrix/client/unstable/org.matrix.msc2432/rooms/:roomId/aliases'],
  auth: 'user',
  async handler({ params, requester }, { aliases }) {
    return { aliases: await aliases.list(requester, params.roomId) }
  },
})
