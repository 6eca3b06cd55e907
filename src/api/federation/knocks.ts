import { z } from 'zod'
import { repeatedParam } from '../../http/query.js'
import { route } from '../../http/route.js'
import { MAX_PDU_BODY_BYTES, pduBody, toHandedEvent } from './handed-event.js'

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1make_knockroomiduserid */
export const makeKnock = route({
  operationId: 'federationMakeKnock',
  method: 'GET',
  path: '/_matrix/federation/v1/make_knock/:roomId/:userId',
  auth: 'federation',
  query: z.object({ ver: repeatedParam }),
  async handler({ params, query, requester }, { residentHandshakes }) {
    return residentHandshakes.makeKnock(requester.origin, { ...params, versions: query.ver })
  },
})

/** https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv1send_knockroomideventid */
export const sendKnock = route({
  operationId: 'federationSendKnock',
  method: 'PUT',
  path: '/_matrix/federation/v1/send_knock/:roomId/:eventId',
  auth: 'federation',
  allowNul: true,
  maxBodyBytes: MAX_PDU_BODY_BYTES,
  body: pduBody,
  async handler({ params, body, requester, request }, { residentHandshakes }) {
    return residentHandshakes.sendKnock(requester.origin, toHandedEvent(params, body, request))
  },
})
