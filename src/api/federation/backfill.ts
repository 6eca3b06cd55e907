import { z } from 'zod'
import { repeatedParam } from '../../http/query.js'
import { route } from '../../http/route.js'
import { parseEventId, type EventId } from '../../protocol/ids.js'
import { pduAnswer } from './pdu-answer.js'

/** More event IDs than this are ignored. */
const MAX_EVENT_IDS = 50
const DEFAULT_LIMIT = 10

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1backfillroomid */
export const backfillRoom = route({
  operationId: 'federationBackfillRoom',
  method: 'GET',
  path: '/_matrix/federation/v1/backfill/:roomId',
  auth: 'federation',
  query: z.looseObject({ v: repeatedParam, limit: z.coerce.number().int().min(1).optional() }),
  async handler({ params, query, requester }, { roomAnswers }) {
    const events = await roomAnswers.backfill(requester.origin, params.roomId, {
      from: eventIds(query.v),
      limit: query.limit ?? DEFAULT_LIMIT,
    })
    return pduAnswer({ pdus: events }, roomAnswers.frame())
  },
})

/** https://spec.matrix.org/latest/server-server-api/#post_matrixfederationv1get_missing_eventsroomid */
export const getMissingPreviousEvents = route({
  operationId: 'federationGetMissingPreviousEvents',
  method: 'POST',
  path: '/_matrix/federation/v1/get_missing_events/:roomId',
  auth: 'federation',
  body: z.looseObject({
    earliest_events: z.array(z.string()).optional(),
    latest_events: z.array(z.string()).optional(),
    limit: z.number().int().min(1).optional(),
    min_depth: z.number().int().optional(),
  }),
  async handler({ params, body, requester }, { roomAnswers }) {
    const events = await roomAnswers.missingEvents(requester.origin, params.roomId, {
      earliest: eventIds(body.earliest_events ?? []),
      latest: eventIds(body.latest_events ?? []),
      limit: body.limit ?? DEFAULT_LIMIT,
      minDepth: body.min_depth ?? 0,
    })
    return pduAnswer({ events })
  },
})

function eventIds(texts: readonly string[]): EventId[] {
  return texts.slice(0, MAX_EVENT_IDS).flatMap((text) => parseEventId(text) ?? [])
}
