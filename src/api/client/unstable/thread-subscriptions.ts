import { z } from 'zod'
import { route } from '../../../http/route.js'
import { invalidParam, unrecognized } from '../../../protocol/errors.js'
import type { EventId } from '../../../protocol/ids.js'

const PATH = '/_matrix/client/unstable/io.element.msc4306/rooms/:roomId/thread/:eventId/subscription'

/** https://github.com/matrix-org/matrix-spec-proposals/pull/4306 */
export const getThreadSubscription = route({
  operationId: 'unstableGetThreadSubscription',
  method: 'GET',
  path: PATH,
  auth: 'user',
  async handler({ params, requester }, { threadSubscriptions }) {
    if (!threadSubscriptions.isEnabled) throw unrecognized()
    const { isAutomatic } = await threadSubscriptions.require(requester.userId, params.roomId, params.eventId)
    return { automatic: isAutomatic }
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/pull/4306 */
export const putThreadSubscription = route({
  operationId: 'unstablePutThreadSubscription',
  method: 'PUT',
  path: PATH,
  auth: 'user',
  body: z.looseObject({ automatic: z.string().startsWith('$').nullish() }),
  emptyBody: true,
  async handler({ params, body, requester }, { threadSubscriptions }) {
    if (!threadSubscriptions.isEnabled) throw unrecognized()
    await threadSubscriptions.subscribe(requester.userId, {
      roomId: params.roomId,
      rootId: params.eventId,
      cause: (body.automatic ?? undefined) as EventId | undefined,
    })
    return {}
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/pull/4306 */
export const deleteThreadSubscription = route({
  operationId: 'unstableDeleteThreadSubscription',
  method: 'DELETE',
  path: PATH,
  auth: 'user',
  async handler({ params, requester }, { threadSubscriptions }) {
    if (!threadSubscriptions.isEnabled) throw unrecognized()
    await threadSubscriptions.unsubscribe(requester.userId, params.roomId, params.eventId)
    return {}
  },
})

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 512

/** https://github.com/matrix-org/matrix-spec-proposals/pull/4308 */
export const listThreadSubscriptions = route({
  operationId: 'unstableListThreadSubscriptions',
  method: 'GET',
  path: '/_matrix/client/unstable/io.element.msc4308/thread_subscriptions',
  auth: 'user',
  query: z.looseObject({
    dir: z.literal('b'),
    from: z.string().optional(),
    to: z.string().optional(),
    limit: z.coerce.number().int().min(1).default(DEFAULT_LIMIT),
  }),
  async handler({ query, requester }, { threadSubscriptions }) {
    if (!threadSubscriptions.isEnabled) throw unrecognized()
    const page = await threadSubscriptions.listPage(requester.userId, {
      from: query.from,
      to: query.to,
      limit: Math.min(query.limit, MAX_LIMIT),
    })
    if (page === undefined) throw invalidParam('from or to is no valid token')
    return page
  },
})
