import { z } from 'zod'
import { route } from '../../http/route.js'
import { HttpResponse } from '../../http/responses.js'
import { passEmailGate, passUiAuthGate } from '../../http/ui-auth-gate.js'
import { MatrixError } from '../../protocol/errors.js'
import type { JsonObject } from '../../util/json.js'
import { optionalBoolean } from './json-object.js'
import { emailTokenBody, msisdnTokenBody, threepidsDenied, tokenRequestOf } from './request-token-body.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3accountpassword */
export const changePassword = route({
  operationId: 'changePassword',
  method: 'POST',
  path: '/_matrix/client/v3/account/password',
  auth: 'optionalUser',
  accounts: 'own',
  body: z.looseObject({ new_password: z.string(), logout_devices: optionalBoolean }),
  async handler({ requester, request, body }, { passwordChanges, uiAuth, emailValidations }) {
    // A password that will not do is refused before anybody types the old one.
    passwordChanges.checkNew(body.new_password)
    const gated = { request, body: body as JsonObject }
    const logoutDevices = body.logout_devices ?? true
    if (requester === undefined) {
      const passed = await passEmailGate(uiAuth, gated, emailValidations)
      if (passed instanceof HttpResponse) return passed
      await passwordChanges.reset(passed, body.new_password, { logoutDevices })
      return {}
    }
    if (requester.isGuest) throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may not do this')
    const challenge = await passUiAuthGate(uiAuth, { ...gated, requester })
    if (challenge !== undefined) return challenge
    const options = { logoutDevices, except: requester }
    await passwordChanges.change(requester.userId, body.new_password, options)
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3accountpasswordemailrequesttoken */
export const requestTokenToResetPasswordEmail = route({
  operationId: 'requestTokenToResetPasswordEmail',
  method: 'POST',
  path: '/_matrix/client/v3/account/password/email/requestToken',
  auth: 'none',
  accounts: 'own',
  rateLimit: 'threepidValidation',
  body: emailTokenBody,
  async handler({ body }, { emailValidations }) {
    return { sid: await emailValidations.requestToken('reset', tokenRequestOf(body)) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3accountpasswordmsisdnrequesttoken */
export const requestTokenToResetPasswordMSISDN = route({
  operationId: 'requestTokenToResetPasswordMSISDN',
  method: 'POST',
  path: '/_matrix/client/v3/account/password/msisdn/requestToken',
  auth: 'none',
  accounts: 'own',
  rateLimit: 'threepidValidation',
  body: msisdnTokenBody,
  async handler() {
    return Promise.reject(threepidsDenied())
  },
})
