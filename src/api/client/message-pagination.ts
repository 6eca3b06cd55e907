import { route } from '../../http/route.js'
import { messagesPage, messagesQuery } from './pagination-params.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidmessages */
export const getRoomEvents = route({
  operationId: 'getRoomEvents',
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/messages',
  auth: 'userOrGuest',
  query: messagesQuery,
  handler: ({ params, query, requester }, { pagination }) =>
    pagination.listMessages(requester, { roomId: params.roomId, ...messagesPage(query) }),
})
