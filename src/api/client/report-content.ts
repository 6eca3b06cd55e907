import { z } from 'zod'
import { route } from '../../http/route.js'
import { optionalString } from './json-object.js'

const complaint = z.looseObject({ reason: z.string() })

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidreport */
export const reportRoom = route({
  operationId: 'reportRoom',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/report',
  aliases: ['/_matrix/client/unstable/org.matrix.msc4151/rooms/:roomId/report'],
  auth: 'user',
  rateLimit: 'reports',
  body: complaint,
  async handler({ params, requester, body }, { reports }) {
    await reports.reportRoom(requester, params.roomId, body.reason)
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3roomsroomidreporteventid */
export const reportEvent = route({
  operationId: 'reportEvent',
  method: 'POST',
  path: '/_matrix/client/v3/rooms/:roomId/report/:eventId',
  auth: 'user',
  rateLimit: 'reports',
  // Clients of older versions send a score.
  body: z.looseObject({ reason: optionalString, score: z.int().nullish() }),
  emptyBody: true,
  async handler({ params, requester, body }, { reports }) {
    await reports.reportEvent(requester, params, { reason: body.reason, score: body.score ?? undefined })
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3usersuseridreport */
export const reportUser = route({
  operationId: 'reportUser',
  method: 'POST',
  path: '/_matrix/client/v3/users/:userId/report',
  aliases: ['/_matrix/client/unstable/org.matrix.msc4260/users/:userId/report'],
  auth: 'user',
  rateLimit: 'reports',
  body: complaint,
  async handler({ params, requester, body }, { reports }) {
    await reports.reportUser(requester, params.userId, body.reason)
    return {}
  },
})
