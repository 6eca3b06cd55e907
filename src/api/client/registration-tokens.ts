import { z } from 'zod'
import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity */
export const registrationTokenValidity = route({
  operationId: 'registrationTokenValidity',
  method: 'GET',
  path: '/_matrix/client/v1/register/m.login.registration_token/validity',
  auth: 'none',
  accounts: 'own',
  rateLimit: 'registrationTokenValidity',
  query: z.looseObject({ token: z.string() }),
  async handler({ query }, { registrationTokens }) {
    return { valid: await registrationTokens.isValid(query.token) }
  },
})
