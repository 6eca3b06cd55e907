import { z } from 'zod'
import { HttpResponse } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { MAX_PDU_BODY_BYTES, pduBody, toHandedEvent } from './handed-event.js'

/** https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv2send_joinroomideventid */
export const sendJoinV2 = route({
  operationId: 'federationSendJoinV2',
  method: 'PUT',
  path: '/_matrix/federation/v2/send_join/:roomId/:eventId',
  auth: 'federation',
  allowNul: true,
  maxBodyBytes: MAX_PDU_BODY_BYTES,
  query: z.object({ omit_members: z.string().optional() }),
  body: pduBody,
  async handler({ params, query, body, requester, request }, { residentHandshakes }) {
    const answer = await residentHandshakes.sendJoin(requester.origin, toHandedEvent(params, body, request), {
      omitMembers: query.omit_members === 'true',
    })
    return new HttpResponse(200, { text: answer }, { 'Content-Type': 'application/json' })
  },
})
