import { z } from 'zod'
import { route } from '../../http/route.js'
import type { JsonObject, JsonValue } from '../../util/json.js'
import { pduBody } from './handed-event.js'

/** An invitation and the room's state, as whole events. */
export const MAX_INVITE_BODY_BYTES = 4 * 1024 * 1024

/** https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv2inviteroomideventid */
export const sendInviteV2 = route({
  operationId: 'federationSendInviteV2',
  method: 'PUT',
  path: '/_matrix/federation/v2/invite/:roomId/:eventId',
  auth: 'federation',
  allowNul: true,
  maxBodyBytes: MAX_INVITE_BODY_BYTES,
  body: z.looseObject({
    room_version: z.string(),
    event: pduBody,
    invite_room_state: z.array(z.unknown()).optional(),
  }),
  async handler({ params: { roomId, eventId }, body, requester }, { inviteReceiver }) {
    const event = await inviteReceiver.receive(requester.origin, {
      roomId,
      eventId,
      roomVersion: body.room_version,
      event: body.event as JsonObject,
      roomState: body.invite_room_state as JsonValue | undefined,
    })
    return { event }
  },
})
