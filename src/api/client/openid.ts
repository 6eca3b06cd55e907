import { route } from '../../http/route.js'
import { jsonObject } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3useruseridopenidrequest_token */
export const requestOpenIdToken = route({
  operationId: 'requestOpenIdToken',
  method: 'POST',
  path: '/_matrix/client/v3/user/:userId/openid/request_token',
  auth: 'user',
  body: jsonObject,
  emptyBody: true,
  async handler({ params, requester }, { openIdTokens, serverDescription }) {
    const { token, expiresInMs } = await openIdTokens.issue(requester, params.userId)
    return {
      access_token: token,
      token_type: 'Bearer',
      matrix_server_name: serverDescription.serverName,
      expires_in: Math.floor(expiresInMs / 1000),
    }
  },
})
