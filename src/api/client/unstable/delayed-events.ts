import { z } from 'zod'
import { route } from '../../../http/route.js'
import { unrecognized } from '../../../protocol/errors.js'
import { jsonObject } from '../json-object.js'
import { timestampOf, timestampQuery } from '../timestamp-query.js'
import { stickyQuery } from './sticky-query.js'

const PATH = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events'

/** https://github.com/matrix-org/matrix-spec-proposals/pull/4140 */
export const listDelayedEvents = route({
  operationId: 'unstableListDelayedEvents',
  method: 'GET',
  path: PATH,
  auth: 'userOrGuest',
  async handler({ requester }, { delayedEvents }) {
    if (!delayedEvents.isEnabled) throw unrecognized()
    return { delayed_events: await delayedEvents.list(requester) }
  },
})

/** One that the requester has scheduled and that has not been sent yet. */
export const getDelayedEvent = route({
  operationId: 'unstableGetDelayedEvent',
  method: 'GET',
  path: `${PATH}/:delayId`,
  auth: 'userOrGuest',
  async handler({ params, requester }, { delayedEvents }) {
    if (!delayedEvents.isEnabled) throw unrecognized()
    return delayedEvents.get(requester, params.delayId)
  },
})

/** As later drafts have it: the delay, the state key and the content in the body. */
export const scheduleDelayedEvent = route({
  operationId: 'unstableScheduleDelayedEvent',
  method: 'PUT',
  path: '/_matrix/client/unstable/org.matrix.msc4140/rooms/:roomId/delayed_event/:eventType/:txnId',
  auth: 'userOrGuest',
  allowNul: true,
  query: z.looseObject({ ...timestampQuery, ...stickyQuery }),
  body: z.looseObject({
    delay_ms: z.int().min(1),
    state_key: z.string().optional(),
    content: jsonObject,
  }),
  async handler({ params, query, body, requester }, { delayedEvents }) {
    if (!delayedEvents.isEnabled) throw unrecognized()
    const { roomId, eventType: type, txnId } = params
    const { delay_ms: delayMs, state_key: stateKey, content } = body
    const delayId = await delayedEvents.add(requester, {
      ...{ roomId, type, txnId, content, delayMs },
      ...(stateKey !== undefined && { stateKey }),
      ts: timestampOf(requester, query),
      stickyMs: query['org.matrix.msc4354.sticky_duration_ms'],
    })
    return { delay_id: delayId }
  },
})

/** The action in the body, as an earlier draft had it. */
export const updateDelayedEvent = route({
  operationId: 'unstableUpdateDelayedEvent',
  method: 'POST',
  path: `${PATH}/:delayId`,
  auth: 'optionalUser',
  body: z.looseObject({ action: z.enum(['cancel', 'restart', 'send']) }),
  async handler({ params, body, requester, request }, { delayedEvents }) {
    if (!delayedEvents.isEnabled) throw unrecognized()
    await delayedEvents.update(params.delayId, body.action, { requester, ip: request.ip })
    return {}
  },
})

/** Who knows the ID may: it need not be who scheduled the event, nor anybody with an account. */
export const cancelDelayedEvent = route({
  operationId: 'unstableCancelDelayedEvent',
  method: 'POST',
  path: `${PATH}/:delayId/cancel`,
  auth: 'optionalUser',
  async handler({ params, requester, request }, { delayedEvents }) {
    if (!delayedEvents.isEnabled) throw unrecognized()
    await delayedEvents.update(params.delayId, 'cancel', { requester, ip: request.ip })
    return {}
  },
})

export const restartDelayedEvent = route({
  operationId: 'unstableRestartDelayedEvent',
  method: 'POST',
  path: `${PATH}/:delayId/restart`,
  auth: 'optionalUser',
  async handler({ params, requester, request }, { delayedEvents }) {
    if (!delayedEvents.isEnabled) throw unrecognized()
    await delayedEvents.update(params.delayId, 'restart', { requester, ip: request.ip })
    return {}
  },
})

export const sendDelayedEvent = route({
  operationId: 'unstableSendDelayedEvent',
  method: 'POST',
  path: `${PATH}/:delayId/send`,
  auth: 'optionalUser',
  async handler({ params, requester, request }, { delayedEvents }) {
    if (!delayedEvents.isEnabled) throw unrecognized()
    await delayedEvents.update(params.delayId, 'send', { requester, ip: request.ip })
    return {}
  },
})
