import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1room_summaryroomidoralias */
export const getRoomSummary = route({
  operationId: 'getRoomSummary',
  method: 'GET',
  path: '/_matrix/client/v1/room_summary/:roomIdOrAlias',
  aliases: [
    '/_matrix/client/unstable/im.nheko.summary/summary/:roomIdOrAlias',
    '/_matrix/client/unstable/im.nheko.summary/rooms/:roomIdOrAlias/summary',
  ],
  auth: 'optionalUser',
  async handler({ params, requester }, { roomMembership, roomSummaries }) {
    const roomId = await roomMembership.findRoomId(params.roomIdOrAlias)
    return roomSummaries.get(requester?.userId, roomId)
  },
})
