import { HttpResponse } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { unrecognized } from '../../protocol/errors.js'
import { pduText } from '../../protocol/pdu.js'
import type { ThreadAnswer } from '../../services/federation/relationship-answers.js'
import { relationshipsBody, toRelationshipsRequest } from '../relationships-body.js'

/** https://github.com/matrix-org/matrix-spec-proposals/pull/2836 */
export const getEventRelationships = route({
  operationId: 'federationUnstableGetEventRelationships',
  method: 'POST',
  path: '/_matrix/federation/unstable/event_relationships',
  auth: 'federation',
  body: relationshipsBody,
  async handler({ body, requester }, { relationshipAnswers }) {
    if (relationshipAnswers === undefined) throw unrecognized()
    const { eventId, ...request } = toRelationshipsRequest(body)
    return toAnswer(await relationshipAnswers.list(requester.origin, eventId, request))
  },
})

/** Events with their numbers as they were hashed, and what this server says of them. */
function toAnswer({ events, authChain, isLimited }: ThreadAnswer): HttpResponse {
  const thread = events.map(
    ({ event, unsigned }) => `${pduText(event).slice(0, -1)},"unsigned":${JSON.stringify(unsigned)}}`,
  )
  const text = `{"events":[${thread.join(',')}],"auth_chain":[${authChain.map(pduText).join(',')}],"limited":${isLimited}}`
  return new HttpResponse(200, { text }, { 'Content-Type': 'application/json' })
}
