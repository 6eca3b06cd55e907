import { z } from 'zod'
import { badJson, invalidParam, notFound } from '../../protocol/errors.js'
import { parseEventId, type EventId } from '../../protocol/ids.js'
import { route, type HandlerInput } from '../../http/route.js'
import type { PurgePoint } from '../../services/rooms/history-purges.js'
import type { Services } from '../../services/services.js'
import { optionalBoolean } from '../client/json-object.js'

const purgeBody = z.looseObject({
  delete_local_events: optionalBoolean,
  purge_up_to_event_id: z.string().optional(),
  purge_up_to_ts: z.number().int().min(0).optional(),
})

type PurgeInput = HandlerInput<'/:roomId', 'admin', undefined, z.output<typeof purgeBody>>

/** Deletes what was said in a room before an event or a time, in the background. */
export const purgeHistory = route({
  operationId: 'adminPurgeHistory',
  method: 'POST',
  path: '/_synapse/admin/v1/purge_history/:roomId',
  auth: 'admin',
  emptyBody: true,
  body: purgeBody,
  handler: (input, services) => purge(input, pointOf(input.body), services),
})

export const purgeHistoryBefore = route({
  operationId: 'adminPurgeHistoryBefore',
  method: 'POST',
  path: '/_synapse/admin/v1/purge_history/:roomId/:eventId',
  auth: 'admin',
  emptyBody: true,
  body: purgeBody,
  handler: (input, services) => purge(input, { eventId: input.params.eventId }, services),
})

export const getHistoryPurge = route({
  operationId: 'adminGetHistoryPurge',
  method: 'GET',
  path: '/_synapse/admin/v1/purge_history_status/:purgeId',
  auth: 'admin',
  async handler({ params: { purgeId } }, { historyPurges }) {
    const purge = await historyPurges.find(purgeId)
    if (purge === undefined) throw notFound(`purge id '${purgeId}' not found`)
    return { status: purge.status, ...(purge.error !== undefined && { error: purge.error }) }
  },
})

async function purge(
  { params, body }: Pick<PurgeInput, 'params' | 'body'>,
  point: PurgePoint,
  { historyPurges }: Services,
): Promise<unknown> {
  const deleteLocal = body.delete_local_events ?? false
  return { purge_id: await historyPurges.start(params.roomId, point, { deleteLocal }) }
}

function pointOf({ purge_up_to_event_id: id, purge_up_to_ts: ts }: z.output<typeof purgeBody>): PurgePoint {
  if (id !== undefined) return { eventId: toEventId(id) }
  if (ts !== undefined) return { ts }
  throw badJson('must specify purge_up_to_event_id or purge_up_to_ts')
}

function toEventId(text: string): EventId {
  const eventId = parseEventId(text)
  if (eventId === undefined) throw invalidParam('purge_up_to_event_id is not an event ID')
  return eventId
}
