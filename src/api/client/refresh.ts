import { z } from 'zod'
import { route } from '../../http/route.js'
import { tokensJson } from './session-response.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3refresh */
export const refresh = route({
  operationId: 'refresh',
  method: 'POST',
  path: '/_matrix/client/v3/refresh',
  auth: 'none',
  accounts: 'own',
  body: z.looseObject({ refresh_token: z.string() }),
  async handler({ body }, { tokenIssuer }) {
    return tokensJson(await tokenIssuer.refresh(body.refresh_token))
  },
})
