import { z } from 'zod'
import { MatrixError } from '../../protocol/errors.js'
import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1openiduserinfo */
export const exchangeOpenIdToken = route({
  operationId: 'federationExchangeOpenIdToken',
  method: 'GET',
  path: '/_matrix/federation/v1/openid/userinfo',
  auth: 'none',
  query: z.looseObject({ access_token: z.string().optional() }),
  async handler({ query }, { openIdTokens }) {
    const { access_token: token } = query
    if (token === undefined || token === '') {
      throw new MatrixError('M_MISSING_TOKEN', 'Missing access_token')
    }
    const userId = await openIdTokens.userOf(token)
    if (userId === undefined) {
      throw new MatrixError('M_UNKNOWN_TOKEN', 'Access Token unknown or expired')
    }
    return { sub: userId }
  },
})
