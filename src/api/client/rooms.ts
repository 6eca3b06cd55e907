import { z } from 'zod'
import { route } from '../../http/route.js'
import { tokenParam } from './pagination-params.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomideventeventid */
export const getOneRoomEvent = route({
  operationId: 'getOneRoomEvent',
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/event/:eventId',
  auth: 'userOrGuest',
  async handler({ params, requester }, { singleEvents }) {
    return singleEvents.get(requester, params.roomId, params.eventId)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey */
export const getRoomStateWithKey = route({
  operationId: 'getRoomStateWithKey',
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/state/:eventType/:stateKey',
  auth: 'userOrGuest',
  query: z.looseObject({ format: z.enum(['content', 'event']).default('content') }),
  async handler({ params, query, requester }, { roomStateViews }) {
    const { roomId, eventType, stateKey } = params
    if (query.format === 'event') return roomStateViews.getEvent(requester, roomId, [eventType, stateKey])
    return roomStateViews.getContent(requester.userId, roomId, [eventType, stateKey])
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidstate */
export const getRoomState = route({
  operationId: 'getRoomState',
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/state',
  auth: 'userOrGuest',
  async handler({ params, requester }, { roomStateViews }) {
    return roomStateViews.list(requester, params.roomId)
  },
})

const membership = z.enum(['join', 'invite', 'knock', 'leave', 'ban']).optional()

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidmembers */
export const getMembersByRoom = route({
  operationId: 'getMembersByRoom',
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/members',
  auth: 'userOrGuest',
  query: z.looseObject({ at: z.string().optional(), membership, not_membership: membership }),
  async handler({ params, query, requester }, { roomMembers }) {
    const chunk = await roomMembers.list(requester, {
      roomId: params.roomId,
      at: tokenParam(query.at, 'at'),
      membership: query.membership,
      notMembership: query.not_membership,
    })
    return { chunk }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidjoined_members */
export const getJoinedMembersByRoom = route({
  operationId: 'getJoinedMembersByRoom',
  method: 'GET',
  path: '/_matrix/client/v3/rooms/:roomId/joined_members',
  auth: 'user',
  async handler({ params, requester }, { roomMembers }) {
    return { joined: await roomMembers.listJoined(requester, params.roomId) }
  },
})
