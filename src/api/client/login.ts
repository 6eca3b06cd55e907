import { z } from 'zod'
import { tokenOfRequest } from '../../http/auth.js'
import { route } from '../../http/route.js'
import { invalidParam, MatrixError, missingParam } from '../../protocol/errors.js'
import type { DeviceWish, Login, LoginResult } from '../../services/accounts/login.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientInfo } from '../../services/accounts/requester.js'
import { jsonObject, optionalBoolean, optionalString } from './json-object.js'
import { sessionJson } from './session-response.js'

/** Synapse's name: no specification has it. */
const JWT_LOGIN = 'org.matrix.login.jwt'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3login */
export const getLoginFlows = route({
  operationId: 'getLoginFlows',
  method: 'GET',
  path: '/_matrix/client/v3/login',
  auth: 'none',
  accounts: 'own',
  async handler(_input, { login, jwtLogin }) {
    const jwt = jwtLogin === undefined ? [] : [{ type: JWT_LOGIN }]
    return Promise.resolve({ flows: [...jwt, ...login.listFlows()] })
  },
})

const loginBody = z.looseObject({
  type: z.string(),
  identifier: jsonObject.nullish().transform((value) => value ?? undefined),
  user: optionalString,
  medium: optionalString,
  address: optionalString,
  password: optionalString,
  token: optionalString,
  device_id: optionalString,
  initial_device_display_name: optionalString,
  refresh_token: optionalBoolean,
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3login */
export const login = route({
  operationId: 'login',
  method: 'POST',
  path: '/_matrix/client/v3/login',
  auth: 'none',
  accounts: 'own',
  rateLimit: 'login',
  body: loginBody,
  async handler({ body, request }, services) {
    const { login: service, jwtLogin, appserviceAccounts, serverDescription } = services
    const result =
      body.type === 'm.login.application_service'
        ? await appserviceAccounts.logIn(
            tokenOfRequest(request),
            nameOf(service, body),
            deviceOf(body, request),
          )
        : body.type === JWT_LOGIN && jwtLogin !== undefined
          ? await jwtLogin.logIn(body.token, deviceOf(body, request))
          : await logIn(service, body, deviceOf(body, request))
    const wellKnown = serverDescription.clientWellKnown
    return {
      ...withoutReserved(result.extra),
      ...sessionJson(result.userId, result),
      ...(wellKnown === undefined ? {} : { well_known: wellKnown }),
    }
  },
})

/** What another service says must not stand in the place of what this server does, nor where it says nothing. */
const RESERVED: ReadonlySet<string> = new Set([
  'access_token',
  'device_id',
  'expires_in_ms',
  'home_server',
  'refresh_token',
  'user_id',
  'well_known',
])

function withoutReserved(extra: Readonly<JsonObject> = {}): JsonObject {
  return Object.fromEntries(Object.entries(extra).filter(([name]) => !RESERVED.has(name)))
}

function deviceOf(body: z.output<typeof loginBody>, client: ClientInfo): DeviceWish {
  return {
    deviceId: body.device_id,
    displayName: body.initial_device_display_name,
    refreshable: body.refresh_token ?? false,
    client,
  }
}

function nameOf(service: Login, body: z.output<typeof loginBody>): string {
  const identifier = service.parseIdentifier(body)
  if (identifier.type !== 'user') throw invalidParam('Application services log in by user name')
  return identifier.user
}

async function logIn(
  service: Login,
  body: z.output<typeof loginBody>,
  device: DeviceWish,
): Promise<LoginResult> {
  const isOffered = service.listFlows().some((flow) => flow.type === body.type)
  if (isOffered && body.type === 'm.login.password') {
    if (body.password === undefined) throw missingParam('password')
    return service.withPassword(service.parseIdentifier(body), body.password, device)
  }
  if (isOffered && body.type === 'm.login.token') {
    if (body.token === undefined) throw missingParam('token')
    return service.withLoginToken(body.token, device)
  }
  if (service.credentialTypes.includes(body.type)) {
    if (body.token === undefined) throw missingParam('token')
    const proof = { identifier: service.parseIdentifier(body), secret: body.token }
    return service.withCredential(body.type, proof, device)
  }
  throw new MatrixError('M_UNKNOWN', 'Unknown login type', { status: 400 })
}
