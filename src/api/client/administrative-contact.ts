import { z } from 'zod'
import { MatrixError, unrecognized } from '../../protocol/errors.js'
import { route } from '../../http/route.js'
import { passUiAuthGate } from '../../http/ui-auth-gate.js'
import type { JsonObject } from '../../util/json.js'
import { optionalString } from './json-object.js'
import { emailTokenBody, msisdnTokenBody, tokenRequestOf } from './request-token-body.js'

const PATH = '/_matrix/client/v3/account/3pid'
/** Where clients looked for it before it was in the specification. */
const UNSTABLE = '/_matrix/client/unstable/account/3pid'
const identifier = z.looseObject({
  medium: z.enum(['email', 'msisdn']),
  address: z.string(),
  id_server: optionalString,
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3account3pid */
export const getAccount3PIDs = route({
  operationId: 'getAccount3PIDs',
  method: 'GET',
  path: PATH,
  auth: 'user',
  async handler({ requester }, { threepids }) {
    const list = await threepids.list(requester.userId)
    return {
      threepids: list.map(({ medium, address, validatedTs, addedTs }) => ({
        medium,
        address,
        validated_at: validatedTs,
        added_at: addedTs,
      })),
    }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3account3pid */
export const post3PIDs = route({
  operationId: 'post3PIDs',
  method: 'POST',
  path: PATH,
  auth: 'user',
  body: z.looseObject({ three_pid_creds: z.looseObject({ client_secret: z.string(), sid: z.string() }) }),
  async handler({ requester, body }, { threepids, authenticationService }) {
    if (authenticationService !== undefined) throw unrecognized()
    const { sid, client_secret: clientSecret } = body.three_pid_creds
    await threepids.add(requester.userId, { sid, clientSecret }, { unprovenStatus: 403 })
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3account3pidadd */
export const add3PID = route({
  operationId: 'add3PID',
  method: 'POST',
  path: `${PATH}/add`,
  aliases: [`${UNSTABLE}/add`],
  auth: 'user',
  accounts: 'own',
  body: z.looseObject({ client_secret: z.string(), sid: z.string() }),
  async handler({ requester, request, body }, { threepids, uiAuth }) {
    const challenge = await passUiAuthGate(uiAuth, { requester, request, body: body as JsonObject })
    if (challenge !== undefined) return challenge
    const { sid, client_secret: clientSecret } = body
    await threepids.add(requester.userId, { sid, clientSecret }, { unprovenStatus: 400 })
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3account3pidbind */
export const bind3PID = route({
  operationId: 'bind3PID',
  method: 'POST',
  path: `${PATH}/bind`,
  aliases: [`${UNSTABLE}/bind`],
  auth: 'user',
  rateLimit: 'threepidValidation',
  body: z.looseObject({
    client_secret: z.string(),
    id_server: z.string(),
    id_access_token: z.string(),
    sid: z.string(),
  }),
  async handler({ requester, body }, { identityBindings }) {
    const { id_server: server, id_access_token: accessToken, sid, client_secret: clientSecret } = body
    await identityBindings.bind(requester.userId, { server, accessToken }, { sid, clientSecret })
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3account3piddelete */
export const delete3pidFromAccount = route({
  operationId: 'delete3pidFromAccount',
  method: 'POST',
  path: `${PATH}/delete`,
  aliases: [`${UNSTABLE}/delete`],
  auth: 'user',
  accounts: 'own',
  body: identifier,
  async handler({ requester, body }, { identityBindings, threepids }) {
    const { userId } = requester
    await threepids.delete(requester, body)
    return { id_server_unbind_result: await identityBindings.tryUnbind(userId, body, body.id_server) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3account3pidunbind */
export const unbind3pidFromAccount = route({
  operationId: 'unbind3pidFromAccount',
  method: 'POST',
  path: `${PATH}/unbind`,
  aliases: [`${UNSTABLE}/unbind`],
  auth: 'user',
  rateLimit: 'threepidValidation',
  body: identifier,
  async handler({ requester, body }, { identityBindings }) {
    return {
      id_server_unbind_result: await identityBindings.unbind(requester.userId, body, body.id_server),
    }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3account3pidemailrequesttoken */
export const requestTokenTo3PIDEmail = route({
  operationId: 'requestTokenTo3PIDEmail',
  method: 'POST',
  path: `${PATH}/email/requestToken`,
  auth: 'none',
  accounts: 'own',
  rateLimit: 'threepidValidation',
  body: emailTokenBody,
  async handler({ body }, { emailValidations }) {
    if (!emailValidations.isOffered) {
      const message = 'E-mail addresses cannot be added at this server'
      throw new MatrixError('M_THREEPID_MEDIUM_NOT_SUPPORTED', message)
    }
    return { sid: await emailValidations.requestToken('add', tokenRequestOf(body)) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3account3pidmsisdnrequesttoken */
export const requestTokenTo3PIDMSISDN = route({
  operationId: 'requestTokenTo3PIDMSISDN',
  method: 'POST',
  path: `${PATH}/msisdn/requestToken`,
  auth: 'none',
  accounts: 'own',
  rateLimit: 'threepidValidation',
  body: msisdnTokenBody,
  async handler() {
    const message = 'Telephone numbers cannot be added at this server'
    return Promise.reject(new MatrixError('M_THREEPID_MEDIUM_NOT_SUPPORTED', message))
  },
})
