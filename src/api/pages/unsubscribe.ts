import { z } from 'zod'
import { html } from '../../http/responses.js'
import { route } from '../../http/route.js'

const PATH = '/_synapse/client/unsubscribe'
const query = z.looseObject({ access_token: z.string(), app_id: z.string(), pushkey: z.string() })

/** Asks whether mails are to end: a program that only looks at links must not end them. */
export const unsubscribePage = route({
  operationId: 'unsubscribePage',
  method: 'GET',
  path: PATH,
  auth: 'none',
  query,
  async handler({ query: { access_token: token, app_id: appId, pushkey } }, { mailSubscriptions }) {
    return html(await mailSubscriptions.renderQuestion({ token, appId, pushkey }))
  },
})

/** Ends mails; also what mail programs call by themselves (RFC 8058). */
export const unsubscribe = route({
  operationId: 'unsubscribe',
  method: 'POST',
  path: PATH,
  auth: 'none',
  query,
  async handler({ query: { access_token: token, app_id: appId, pushkey } }, { mailSubscriptions }) {
    return html(await mailSubscriptions.end({ token, appId, pushkey }))
  },
})
