import { route } from '../../http/route.js'
import { passUiAuthGate } from '../../http/ui-auth-gate.js'
import { unrecognized } from '../../protocol/errors.js'
import { jsonObject } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv1loginget_token */
export const generateLoginToken = route({
  operationId: 'generateLoginToken',
  method: 'POST',
  path: '/_matrix/client/v1/login/get_token',
  auth: 'user',
  accounts: 'own',
  rateLimit: 'login',
  body: jsonObject,
  emptyBody: true,
  async handler({ requester, request, body }, { login, uiAuth, serverDescription }) {
    if (!serverDescription.loginTokens.enabled) throw unrecognized()
    if (serverDescription.loginTokens.requireUiAuth) {
      const challenge = await passUiAuthGate(uiAuth, { requester, request, body })
      if (challenge !== undefined) return challenge
    }
    const { token, expiresInMs } = await login.createLoginToken(requester.userId)
    return { login_token: token, expires_in_ms: expiresInMs }
  },
})
