import { z } from 'zod'
import { route } from '../../http/route.js'
import { passUiAuthGate } from '../../http/ui-auth-gate.js'
import type { JsonObject } from '../../util/json.js'
import { optionalBoolean } from './json-object.js'
import { emailTokenBody, msisdnTokenBody, threepidsDenied } from './request-token-body.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3accountpassword */
export const changePassword = route({
  operationId: 'changePassword',
  method: 'POST',
  path: '/_matrix/client/v3/account/password',
  auth: 'user',
  body: z.looseObject({ new_password: z.string(), logout_devices: optionalBoolean }),
  async handler({ requester, request, body }, { passwordChanges, uiAuth }) {
    // A password that will not do is refused before anybody types the old one.
    passwordChanges.checkNew(body.new_password)
    const challenge = await passUiAuthGate(uiAuth, { requester, request, body: body as JsonObject })
    if (challenge !== undefined) return challenge
    await passwordChanges.change(requester.userId, body.new_password, {
      logoutDevices: body.logout_devices ?? true,
      except: requester,
    })
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3accountpasswordemailrequesttoken */
export const requestTokenToResetPasswordEmail = route({
  operationId: 'requestTokenToResetPasswordEmail',
  method: 'POST',
  path: '/_matrix/client/v3/account/password/email/requestToken',
  auth: 'none',
  rateLimit: 'threepidValidation',
  body: emailTokenBody,
  async handler() {
    return Promise.reject(threepidsDenied())
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3accountpasswordmsisdnrequesttoken */
export const requestTokenToResetPasswordMSISDN = route({
  operationId: 'requestTokenToResetPasswordMSISDN',
  method: 'POST',
  path: '/_matrix/client/v3/account/password/msisdn/requestToken',
  auth: 'none',
  rateLimit: 'threepidValidation',
  body: msisdnTokenBody,
  async handler() {
    return Promise.reject(threepidsDenied())
  },
})
