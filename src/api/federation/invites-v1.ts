import { json } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { pduBody } from './handed-event.js'
import { MAX_INVITE_BODY_BYTES } from './invites-v2.js'

/** Servers that know no other form of the request know no later room version. */
const ROOM_VERSION = '1'

/** https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv1inviteroomideventid */
export const sendInviteV1 = route({
  operationId: 'federationSendInviteV1',
  method: 'PUT',
  path: '/_matrix/federation/v1/invite/:roomId/:eventId',
  auth: 'federation',
  allowNul: true,
  maxBodyBytes: MAX_INVITE_BODY_BYTES,
  body: pduBody,
  async handler({ params: { roomId, eventId }, body, requester }, { inviteReceiver }) {
    const pdu = body as JsonObject
    const unsigned = pdu['unsigned']
    const event = await inviteReceiver.receive(requester.origin, {
      roomId,
      eventId,
      roomVersion: ROOM_VERSION,
      event: pdu,
      roomState: isJsonObject(unsigned) ? unsigned['invite_room_state'] : undefined,
    })
    return json(200, [200, { event }])
  },
})
