import { readForm } from '../../http/form.js'
import { json } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { unrecognized } from '../../protocol/errors.js'

const HEADERS = { 'Cache-Control': 'no-store' }

/**
 * Where a provider of OpenID Connect says that somebody has logged out there. The path is Synapse's.
 * https://openid.net/specs/openid-connect-backchannel-1_0.html#BCRequest
 */
export const oidcBackchannelLogout = route({
  operationId: 'oidcBackchannelLogout',
  method: 'POST',
  path: '/_synapse/client/oidc/backchannel_logout',
  auth: 'none',
  async handler({ request }, { oidcLogouts }) {
    if (oidcLogouts === undefined) throw unrecognized()
    const token = (await readForm(request)).get('logout_token')
    try {
      if (token === undefined) return refused('There is no logout_token')
      await oidcLogouts.take(token)
    } catch (error) {
      // By name, since this layer imports no classes of services.
      if (!(error instanceof Error) || error.name !== 'OidcLogoutError') throw error
      return refused(error.message)
    }
    return json(200, {}, HEADERS)
  },
})

/** https://openid.net/specs/openid-connect-backchannel-1_0.html#BCResponse */
function refused(reason: string) {
  return json(400, { error: 'invalid_request', error_description: reason }, HEADERS)
}
