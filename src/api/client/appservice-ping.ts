import { z } from 'zod'
import { route } from '../../http/route.js'
import { optionalString } from './json-object.js'

/** https://spec.matrix.org/latest/application-service-api/#post_matrixclientv1appserviceappserviceidping */
export const pingAppservice = route({
  operationId: 'pingAppservice',
  method: 'POST',
  path: '/_matrix/client/v1/appservice/:appserviceId/ping',
  aliases: ['/_matrix/client/unstable/fi.mau.msc2659/appservice/:appserviceId/ping'],
  auth: 'appservice',
  emptyBody: true,
  body: z.looseObject({ transaction_id: optionalString }),
  async handler({ params, requester, body }, { appservicePings }) {
    const { appserviceId } = params
    const durationMs = await appservicePings.ping(requester.appserviceId, appserviceId, body.transaction_id)
    return { duration_ms: durationMs }
  },
})
