import { z } from 'zod'
import { repeatedParam } from '../../http/query.js'
import { HttpResponse } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { MAX_PDU_BODY_BYTES, pduBody, toHandedEvent } from './handed-event.js'

/** Without it, only the first room version is supported. */
const versionsQuery = z.object({
  ver: repeatedParam.transform((versions) => (versions.length === 0 ? ['1'] : versions)),
})

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1make_joinroomiduserid */
export const makeJoin = route({
  operationId: 'federationMakeJoin',
  method: 'GET',
  path: '/_matrix/federation/v1/make_join/:roomId/:userId',
  auth: 'federation',
  query: versionsQuery,
  async handler({ params, query, requester }, { residentHandshakes }) {
    return residentHandshakes.makeJoin(requester.origin, { ...params, versions: query.ver })
  },
})

/** https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv1send_joinroomideventid */
export const sendJoinV1 = route({
  operationId: 'federationSendJoinV1',
  method: 'PUT',
  path: '/_matrix/federation/v1/send_join/:roomId/:eventId',
  auth: 'federation',
  allowNul: true,
  maxBodyBytes: MAX_PDU_BODY_BYTES,
  body: pduBody,
  async handler({ params, body, requester, request }, { residentHandshakes }) {
    const handed = toHandedEvent(params, body, request)
    const answer = await residentHandshakes.sendJoin(requester.origin, handed, { omitMembers: false })
    return new HttpResponse(200, { text: `[200,${answer}]` }, { 'Content-Type': 'application/json' })
  },
})
