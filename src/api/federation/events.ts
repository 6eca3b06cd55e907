import { z } from 'zod'
import { route } from '../../http/route.js'
import { invalidParam } from '../../protocol/errors.js'
import { parseEventId } from '../../protocol/ids.js'
import { pduAnswer } from './pdu-answer.js'

const eventIdParam = z.string().transform((text) => {
  const eventId = parseEventId(text)
  if (eventId === undefined) throw invalidParam('event_id is no event ID')
  return eventId
})

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1stateroomid */
export const getRoomState = route({
  operationId: 'federationGetRoomState',
  method: 'GET',
  path: '/_matrix/federation/v1/state/:roomId',
  auth: 'federation',
  query: z.looseObject({ event_id: eventIdParam }),
  async handler({ params, query, requester }, { roomAnswers }) {
    const answer = await roomAnswers.stateBefore(requester.origin, params.roomId, query.event_id)
    return pduAnswer({
      pdus: answer.state.map(({ event }) => event),
      auth_chain: answer.authChain.map(({ event }) => event),
    })
  },
})

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1state_idsroomid */
export const getRoomStateIds = route({
  operationId: 'federationGetRoomStateIds',
  method: 'GET',
  path: '/_matrix/federation/v1/state_ids/:roomId',
  auth: 'federation',
  query: z.looseObject({ event_id: eventIdParam }),
  async handler({ params, query, requester }, { roomAnswers }) {
    const { state, authChain } = await roomAnswers.stateIdsBefore(
      requester.origin,
      params.roomId,
      query.event_id,
    )
    return { pdu_ids: state, auth_chain_ids: authChain }
  },
})

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1eventeventid */
export const getEvent = route({
  operationId: 'federationGetEvent',
  method: 'GET',
  path: '/_matrix/federation/v1/event/:eventId',
  auth: 'federation',
  async handler({ params, requester }, { roomAnswers }) {
    const event = await roomAnswers.event(requester.origin, params.eventId)
    return pduAnswer({ pdus: [event] }, roomAnswers.frame())
  },
})

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid */
export const getEventByTimestamp = route({
  operationId: 'federationGetEventByTimestamp',
  method: 'GET',
  path: '/_matrix/federation/v1/timestamp_to_event/:roomId',
  aliases: ['/_matrix/federation/unstable/org.matrix.msc3030/timestamp_to_event/:roomId'],
  auth: 'federation',
  query: z.looseObject({ ts: z.coerce.number().int(), dir: z.enum(['f', 'b']).optional() }),
  async handler({ params, query, requester }, { roomAnswers }) {
    const event = await roomAnswers.closestTo(requester.origin, params.roomId, {
      ts: query.ts,
      direction: query.dir ?? 'f',
    })
    return { event_id: event.eventId, origin_server_ts: event.originServerTs }
  },
})
