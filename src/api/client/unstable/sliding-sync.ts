import { z } from 'zod'
import { NO_STORE, json } from '../../../http/responses.js'
import { route } from '../../../http/route.js'
import { unrecognized } from '../../../protocol/errors.js'
import { jsonObject } from '../json-object.js'

/** https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md */
export const slidingSync = route({
  operationId: 'unstableSlidingSync',
  method: 'POST',
  path: '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync',
  auth: 'userOrGuest',
  query: z.looseObject({
    pos: z.string().optional(),
    timeout: z.coerce.number().int().min(0).optional(),
    set_presence: z.enum(['online', 'offline', 'unavailable']).optional(),
  }),
  body: jsonObject,
  emptyBody: true,
  async handler({ query, body, requester, request }, { slidingSync }) {
    if (!slidingSync.isEnabled) throw unrecognized()
    const answer = await slidingSync.wait(
      {
        viewer: { userId: requester.userId, deviceId: requester.deviceId },
        body,
        pos: query.pos,
        timeoutMs: query.timeout,
        setPresence: query.set_presence,
      },
      request.signal,
    )
    return json(200, answer, { 'Cache-Control': NO_STORE })
  },
})
