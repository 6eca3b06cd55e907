import { route } from '../../../http/route.js'
import { unrecognized } from '../../../protocol/errors.js'
import { relationshipsBody, toRelationshipsRequest } from '../../relationships-body.js'

/** https://github.com/matrix-org/matrix-spec-proposals/pull/2836 */
export const getEventRelationships = route({
  operationId: 'unstableGetEventRelationships',
  method: 'POST',
  path: '/_matrix/client/unstable/event_relationships',
  auth: 'user',
  body: relationshipsBody,
  async handler({ body, requester }, { eventRelationships }) {
    if (eventRelationships === undefined) throw unrecognized()
    return eventRelationships.list(requester, toRelationshipsRequest(body))
  },
})
