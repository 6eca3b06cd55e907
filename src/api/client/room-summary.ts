import { route } from '../../http/route.js'
import { viaOf, viaQuery } from './via-query.js'

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
  query: viaQuery,
  async handler({ params, requester, query }, { roomMembership, roomSummaries }) {
    const { roomId, servers } = await roomMembership.findRoom(params.roomIdOrAlias)
    return roomSummaries.get(requester?.userId, roomId, [...viaOf(query), ...servers])
  },
})
