import { route } from '../../http/route.js'

/** How much it takes to join a room, before one does. Outside the specification, as other servers ask for it. */
export const getRoomComplexity = route({
  operationId: 'federationGetRoomComplexity',
  method: 'GET',
  path: '/_matrix/federation/unstable/rooms/:roomId/complexity',
  auth: 'federation',
  async handler({ params, requester }, { roomComplexity }) {
    return { v1: await roomComplexity.tell(requester.origin, params.roomId) }
  },
})
