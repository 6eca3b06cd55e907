import { z } from 'zod'
import { route } from '../../http/route.js'
import { invalidParam } from '../../protocol/errors.js'
import { parseRoomId } from '../../protocol/ids.js'
import { parseSince } from '../../protocol/stream-token.js'
import { limitParam } from './pagination-params.js'

const DEFAULT_LIMIT = 10

const flag = z
  .enum(['true', 'false'])
  .optional()
  .transform((value) => value === 'true')

/**
 * What happens to the caller, or, with a room, what happens there.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3events
 * https://spec.matrix.org/latest/client-server-api/#peeking_get_matrixclientv3events
 */
export const getEvents = route({
  operationId: 'getEvents',
  method: 'GET',
  path: '/_matrix/client/v3/events',
  auth: 'userOrGuest',
  query: z.looseObject({
    from: z.string().optional(),
    timeout: z.coerce.number().int().min(0).default(0),
    room_id: z.string().optional(),
    // Not in the specification any more, and not needed: but what is none is said to be none.
    limit: limitParam,
  }),
  async handler({ query, requester, request }, { oldSync, roomPeeking }) {
    const from = query.from === undefined || query.from === '' ? undefined : parseSince(query.from)
    const wish = { from, timeoutMs: query.timeout }
    if (query.room_id === undefined) return oldSync.listEvents(requester, wish, request.signal)
    const roomId = parseRoomId(query.room_id)
    if (roomId === undefined) throw invalidParam('room_id is not a valid room ID')
    return roomPeeking.follow(requester, { ...wish, roomId }, request.signal)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3initialsync */
export const initialSync = route({
  operationId: 'initialSync',
  method: 'GET',
  path: '/_matrix/client/v3/initialSync',
  auth: 'user',
  query: z.looseObject({ limit: limitParam, archived: flag }),
  async handler({ query, requester, request }, { oldSync }) {
    const wish = { limit: query.limit ?? DEFAULT_LIMIT, includeLeft: query.archived }
    return oldSync.initialSync(requester, wish, request.signal)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3eventseventid */
export const getOneEvent = route({
  operationId: 'getOneEvent',
  method: 'GET',
  path: '/_matrix/client/v3/events/:eventId',
  auth: 'userOrGuest',
  async handler({ params, requester }, { singleEvents }) {
    return singleEvents.find(requester, params.eventId)
  },
})
