import { z } from 'zod'
import { route } from '../../http/route.js'
import type { EventId, RoomId } from '../../protocol/ids.js'
import type { RelatedEventsRequest } from '../../services/rooms/related-events.js'
import { direction, limitParam, tokenParam } from './pagination-params.js'

const DEFAULT_LIMIT = 10

const relationsQuery = z.looseObject({
  from: z.string().optional(),
  to: z.string().optional(),
  limit: limitParam,
  dir: direction.default('b'),
  recurse: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional(),
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1roomsroomidrelationseventid */
export const getRelatingEvents = route({
  operationId: 'getRelatingEvents',
  method: 'GET',
  path: '/_matrix/client/v1/rooms/:roomId/relations/:eventId',
  auth: 'userOrGuest',
  aliases: ['/_matrix/client/unstable/rooms/:roomId/relations/:eventId'],
  query: relationsQuery,
  async handler({ params, query, requester }, { relatedEvents }) {
    return relatedEvents.list(requester, toRequest(params, query))
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1roomsroomidrelationseventidreltype */
export const getRelatingEventsWithRelType = route({
  operationId: 'getRelatingEventsWithRelType',
  method: 'GET',
  path: '/_matrix/client/v1/rooms/:roomId/relations/:eventId/:relType',
  auth: 'userOrGuest',
  aliases: ['/_matrix/client/unstable/rooms/:roomId/relations/:eventId/:relType'],
  query: relationsQuery,
  async handler({ params, query, requester }, { relatedEvents }) {
    return relatedEvents.list(requester, toRequest(params, query))
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1roomsroomidrelationseventidreltypeeventtype */
export const getRelatingEventsWithRelTypeAndEventType = route({
  operationId: 'getRelatingEventsWithRelTypeAndEventType',
  method: 'GET',
  path: '/_matrix/client/v1/rooms/:roomId/relations/:eventId/:relType/:eventType',
  auth: 'userOrGuest',
  aliases: ['/_matrix/client/unstable/rooms/:roomId/relations/:eventId/:relType/:eventType'],
  query: relationsQuery,
  async handler({ params, query, requester }, { relatedEvents }) {
    return relatedEvents.list(requester, toRequest(params, query))
  },
})

interface RelationsParams {
  readonly roomId: RoomId
  readonly eventId: EventId
  readonly relType?: string
  readonly eventType?: string
}

function toRequest(params: RelationsParams, query: z.output<typeof relationsQuery>): RelatedEventsRequest {
  return {
    ...params,
    direction: query.dir,
    from: tokenParam(query.from, 'from'),
    to: tokenParam(query.to, 'to'),
    limit: Math.max(1, query.limit ?? DEFAULT_LIMIT),
    recurse: query.recurse,
  }
}
