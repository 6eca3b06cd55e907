import { z } from 'zod'
import { route } from '../../http/route.js'
import {
  direction,
  filterParam,
  limitParam,
  messagesPage,
  messagesQuery,
} from '../client/pagination-params.js'

const DEFAULT_LIMIT = 10

/** The messages of a room, in which the administrator need not be. */
export const listMessagesOfRoom = route({
  operationId: 'adminListMessagesOfRoom',
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/messages',
  auth: 'admin',
  query: messagesQuery,
  handler: ({ params, query, requester }, { administratorReading }) =>
    administratorReading.pagination.listMessages(requester, {
      roomId: params.roomId,
      ...messagesPage(query),
    }),
})

/** What happened around an event. */
export const getContextInRoom = route({
  operationId: 'adminGetEventContext',
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/context/:eventId',
  auth: 'admin',
  query: z.looseObject({ limit: limitParam, filter: z.string().optional() }),
  handler: ({ params, query, requester }, { administratorReading }) =>
    administratorReading.eventContext.get(requester, {
      ...params,
      filter: filterParam(query.filter),
      limit: query.limit ?? DEFAULT_LIMIT,
    }),
})

export const findEventByTimestamp = route({
  operationId: 'adminFindEventByTimestamp',
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/timestamp_to_event',
  auth: 'admin',
  query: z.looseObject({
    ts: z
      .string()
      .regex(/^\d{1,15}$/, 'must be a time in milliseconds')
      .transform(Number),
    dir: direction.default('f'),
  }),
  async handler({ params, query, requester }, { administratorReading }) {
    const found = await administratorReading.eventByTimestamp.find(requester.userId, params.roomId, {
      ts: query.ts,
      direction: query.dir,
    })
    return { event_id: found.eventId, origin_server_ts: found.originServerTs }
  },
})

/** The leaves of a room's graph. */
export const listForwardExtremities = route({
  operationId: 'adminListForwardExtremities',
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomIdOrAlias/forward_extremities',
  auth: 'admin',
  async handler({ params }, { roomOverviews, roomMembership }) {
    const { roomId } = await roomMembership.findRoom(params.roomIdOrAlias)
    const ends = await roomOverviews.listEnds(roomId)
    return {
      count: ends.length,
      results: ends.map(({ eventId, stateAfter, depth, receivedTs }) => ({
        event_id: eventId,
        state_group: stateAfter,
        depth,
        received_ts: receivedTs,
      })),
    }
  },
})

/**
 * Removes what stands among the leaves and is none, and gives how many. True leaves stay: what is only said there would
 * be lost; the next events of this server join them.
 */
export const deleteForwardExtremities = route({
  operationId: 'adminDeleteForwardExtremities',
  method: 'DELETE',
  path: '/_synapse/admin/v1/rooms/:roomIdOrAlias/forward_extremities',
  auth: 'admin',
  async handler({ params }, { roomRepair, roomMembership }) {
    const { roomId } = await roomMembership.findRoom(params.roomIdOrAlias)
    return { deleted: await roomRepair.repairEnds(roomId) }
  },
})

/** An event whose room need not be known, as servers tell it to each other. */
export const fetchEvent = route({
  operationId: 'adminFetchEvent',
  method: 'GET',
  path: '/_synapse/admin/v1/fetch_event/:eventId',
  auth: 'admin',
  async handler({ params }, { eventExplanations }) {
    const event = await eventExplanations.find(params.eventId)
    return { event: { ...event.json, event_id: event.eventId, room_id: event.roomId } }
  },
})
