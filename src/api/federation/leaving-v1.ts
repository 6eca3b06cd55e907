import { json } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { MAX_PDU_BODY_BYTES, pduBody, toHandedEvent } from './handed-event.js'

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1make_leaveroomiduserid */
export const makeLeave = route({
  operationId: 'federationMakeLeave',
  method: 'GET',
  path: '/_matrix/federation/v1/make_leave/:roomId/:userId',
  auth: 'federation',
  async handler({ params, requester }, { residentHandshakes }) {
    return residentHandshakes.makeLeave(requester.origin, params)
  },
})

/** https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv1send_leaveroomideventid */
export const sendLeaveV1 = route({
  operationId: 'federationSendLeaveV1',
  method: 'PUT',
  path: '/_matrix/federation/v1/send_leave/:roomId/:eventId',
  auth: 'federation',
  allowNul: true,
  maxBodyBytes: MAX_PDU_BODY_BYTES,
  body: pduBody,
  async handler({ params, body, requester, request }, { residentHandshakes }) {
    await residentHandshakes.sendLeave(requester.origin, toHandedEvent(params, body, request))
    return json(200, [200, {}])
  },
})
