import { html, redirect } from '../../http/responses.js'
import { route } from '../../http/route.js'

/** The root: leads to the client of `web_client_location`, or to the page below. */
export const startPage = route({
  operationId: 'startPage',
  method: 'GET',
  path: '/',
  auth: 'none',
  handler(_input, { startPages }) {
    return Promise.resolve(redirect(startPages.start))
  },
})

/** Says what this server is. */
export const welcomePage = route({
  operationId: 'welcomePage',
  method: 'GET',
  path: '/_matrix/static/',
  aliases: ['/_matrix/static'],
  auth: 'none',
  async handler(_input, { startPages }) {
    return html(await startPages.renderWelcome())
  },
})

/** https://spec.matrix.org/latest/client-server-api/#login-fallback */
export const loginFallbackPage = route({
  operationId: 'loginFallbackPage',
  method: 'GET',
  path: '/_matrix/static/client/login/',
  aliases: ['/_matrix/static/client/login'],
  auth: 'none',
  async handler(_input, { startPages }) {
    // Who signs on elsewhere comes back with a token in the address.
    return html(await startPages.renderLogin(), { headers: { 'Referrer-Policy': 'no-referrer' } })
  },
})
