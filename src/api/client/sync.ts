import { z } from 'zod'
import { route } from '../../http/route.js'
import { NO_STORE, json } from '../../http/responses.js'
import { parseSince } from '../../protocol/stream-token.js'

const flag = z
  .enum(['true', 'false'])
  .optional()
  .transform((value) => value === 'true')

const UNSTABLE_STATE_AFTER = 'org.matrix.msc4222.state_after'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3sync */
export const sync = route({
  operationId: 'sync',
  method: 'GET',
  path: '/_matrix/client/v3/sync',
  auth: 'userOrGuest',
  query: z.looseObject({
    filter: z.string().optional(),
    since: z.string().optional(),
    full_state: flag,
    set_presence: z.enum(['online', 'offline', 'unavailable']).default('online'),
    timeout: z.coerce.number().int().min(0).default(0),
    use_state_after: flag,
    'org.matrix.msc4222.use_state_after': flag,
  }),
  async handler({ query, requester, request }, { sync, syncFilters }) {
    const { since } = query
    const stateAfterNames = [
      ...(query.use_state_after ? ['state_after'] : []),
      ...(query['org.matrix.msc4222.use_state_after'] ? [UNSTABLE_STATE_AFTER] : []),
    ]
    const body = await sync.wait(
      {
        viewer: { userId: requester.userId, deviceId: requester.deviceId },
        filter: await syncFilters.resolve(requester, query.filter),
        since: since === undefined || since === '' ? undefined : parseSince(since),
        fullState: query.full_state,
        timeoutMs: query.timeout,
        setPresence: query.set_presence,
        stateAfterNames,
      },
      request.signal,
    )
    return json(200, body, { 'Cache-Control': NO_STORE })
  },
})
