import { z } from 'zod'
import { tokenOfRequest } from '../../http/auth.js'
import { HttpResponse } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { pathOf } from '../../http/ui-auth-gate.js'
import { forbidden, MatrixError } from '../../protocol/errors.js'
import type { JsonObject } from '../../util/json.js'
import { optionalBoolean, optionalString } from './json-object.js'
import { emailTokenBody, msisdnTokenBody, threepidsDenied, tokenRequestOf } from './request-token-body.js'
import { sessionJson } from './session-response.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3register */
export const register = route({
  operationId: 'register',
  method: 'POST',
  path: '/_matrix/client/v3/register',
  auth: 'none',
  rateLimit: 'registration',
  query: z.looseObject({ kind: z.enum(['user', 'guest']).default('user') }),
  body: z.looseObject({
    type: optionalString,
    username: optionalString,
    password: optionalString,
    device_id: optionalString,
    initial_device_display_name: optionalString,
    inhibit_login: optionalBoolean,
    refresh_token: optionalBoolean,
    guest_access_token: optionalString,
  }),
  emptyBody: true,
  async handler({ query, body, request }, services) {
    const { accountRegistration, appserviceAccounts, authenticationService } = services
    if (authenticationService !== undefined) checkMayRegisterBeside(body, query)
    if (query.kind === 'guest') {
      const guest = await accountRegistration.registerGuest(body.initial_device_display_name)
      return sessionJson(guest.userId, guest.session)
    }
    if (body.type === 'm.login.application_service') {
      const registered = await appserviceAccounts.register(tokenOfRequest(request), {
        username: body.username,
        inhibitLogin: body.inhibit_login ?? false,
        device: {
          deviceId: body.device_id,
          displayName: body.initial_device_display_name,
          refreshable: body.refresh_token ?? false,
        },
      })
      return sessionJson(registered.userId, registered.session)
    }
    const outcome = await accountRegistration.register({
      username: body.username,
      password: body.password,
      guestAccessToken: body.guest_access_token,
      inhibitLogin: body.inhibit_login ?? false,
      device: {
        deviceId: body.device_id,
        displayName: body.initial_device_display_name,
        refreshable: body.refresh_token ?? false,
      },
      method: request.method,
      path: pathOf(request.url),
      body: body as JsonObject,
      client: request,
    })
    if ('challenge' in outcome) return new HttpResponse(401, { json: outcome.challenge })
    return sessionJson(outcome.registered.userId, outcome.registered.session)
  },
})

/**
 * Where an authentication service has the accounts, application services alone make some, without sessions.
 * https://spec.matrix.org/latest/application-service-api/#server-admin-style-permissions
 */
function checkMayRegisterBeside(
  body: { readonly type?: string | undefined; readonly inhibit_login?: boolean | undefined },
  { kind }: { readonly kind: 'user' | 'guest' },
): void {
  if (kind === 'guest') throw forbidden('Guest access is disabled')
  if (body.type !== 'm.login.application_service') {
    throw forbidden(
      'Registration has been disabled. Only m.login.application_service registrations are allowed.',
    )
  }
  if (body.inhibit_login === true) return
  const message = 'The authentication service begins sessions: inhibit_login must be true'
  throw new MatrixError('M_APPSERVICE_LOGIN_UNSUPPORTED', message)
}

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3registeravailable */
export const checkUsernameAvailability = route({
  operationId: 'checkUsernameAvailability',
  method: 'GET',
  path: '/_matrix/client/v3/register/available',
  auth: 'none',
  accounts: 'own',
  query: z.looseObject({ username: z.string() }),
  async handler({ query }, { accountRegistration }) {
    await accountRegistration.checkAvailable(query.username)
    return { available: true }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3registeremailrequesttoken */
export const requestTokenToRegisterEmail = route({
  operationId: 'requestTokenToRegisterEmail',
  method: 'POST',
  path: '/_matrix/client/v3/register/email/requestToken',
  auth: 'none',
  accounts: 'own',
  rateLimit: 'threepidValidation',
  body: emailTokenBody,
  async handler({ body }, { emailValidations }) {
    return { sid: await emailValidations.requestToken('register', tokenRequestOf(body)) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3registermsisdnrequesttoken */
export const requestTokenToRegisterMSISDN = route({
  operationId: 'requestTokenToRegisterMSISDN',
  method: 'POST',
  path: '/_matrix/client/v3/register/msisdn/requestToken',
  auth: 'none',
  accounts: 'own',
  rateLimit: 'threepidValidation',
  body: msisdnTokenBody,
  async handler() {
    return Promise.reject(threepidsDenied())
  },
})
