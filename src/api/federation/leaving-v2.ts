import { route } from '../../http/route.js'
import { MAX_PDU_BODY_BYTES, pduBody, toHandedEvent } from './handed-event.js'

/** https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv2send_leaveroomideventid */
export const sendLeaveV2 = route({
  operationId: 'federationSendLeaveV2',
  method: 'PUT',
  path: '/_matrix/federation/v2/send_leave/:roomId/:eventId',
  auth: 'federation',
  allowNul: true,
  maxBodyBytes: MAX_PDU_BODY_BYTES,
  body: pduBody,
  async handler({ params, body, requester, request }, { residentHandshakes }) {
    await residentHandshakes.sendLeave(requester.origin, toHandedEvent(params, body, request))
    return {}
  },
})
