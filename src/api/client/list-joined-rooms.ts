import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3joined_rooms */
export const getJoinedRooms = route({
  operationId: 'getJoinedRooms',
  method: 'GET',
  path: '/_matrix/client/v3/joined_rooms',
  auth: 'userOrGuest',
  async handler({ requester }, { roomMembership }) {
    return { joined_rooms: await roomMembership.listJoined(requester.userId) }
  },
})
