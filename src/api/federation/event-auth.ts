import { route } from '../../http/route.js'
import { pduAnswer } from './pdu-answer.js'

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1event_authroomideventid */
export const getEventAuth = route({
  operationId: 'federationGetEventAuth',
  method: 'GET',
  path: '/_matrix/federation/v1/event_auth/:roomId/:eventId',
  auth: 'federation',
  async handler({ params, requester }, { roomAnswers }) {
    const chain = await roomAnswers.authChain(requester.origin, params.roomId, params.eventId)
    return pduAnswer({ auth_chain: chain.map(({ event }) => event) })
  },
})
