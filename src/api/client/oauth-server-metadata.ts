import { json } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { unrecognized } from '../../protocol/errors.js'

/** As Synapse: browsers keep it for ten minutes, proxies for an hour, and show it while they fetch it again. */
const CACHED = { 'Cache-Control': 'public, max-age=600, s-maxage=3600, stale-while-revalidate=600' }

/**
 * What the authentication service says of itself; that there is no OAuth 2.0 here where there is none.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1auth_metadata
 */
export const getAuthMetadata = route({
  operationId: 'getAuthMetadata',
  method: 'GET',
  path: '/_matrix/client/v1/auth_metadata',
  aliases: ['/_matrix/client/unstable/org.matrix.msc2965/auth_metadata'],
  auth: 'none',
  async handler(_input, { authenticationService }) {
    if (authenticationService === undefined) throw unrecognized()
    return json(200, await authenticationService.getMetadata(), CACHED)
  },
})

/** For clients of before, which look for the rest at the issuer. */
export const getAuthIssuer = route({
  operationId: 'unstableGetAuthIssuer',
  method: 'GET',
  path: '/_matrix/client/unstable/org.matrix.msc2965/auth_issuer',
  auth: 'none',
  accounts: 'delegated',
  async handler(_input, { authenticationService }) {
    if (authenticationService === undefined) throw unrecognized()
    return json(200, { issuer: await authenticationService.getIssuer() }, CACHED)
  },
})
