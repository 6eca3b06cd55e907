import { z } from 'zod'
import { route } from '../../../http/route.js'
import { unrecognized } from '../../../protocol/errors.js'

const PATH = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events'

/** https://github.com/matrix-org/matrix-spec-proposals/pull/4140 */
export const listDelayedEvents = route({
  operationId: 'unstableListDelayedEvents',
  method: 'GET',
  path: PATH,
  auth: 'user',
  async handler({ requester }, { delayedEvents }) {
    if (!delayedEvents.isEnabled) throw unrecognized()
    return { delayed_events: await delayedEvents.list(requester) }
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
