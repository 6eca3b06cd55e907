import { z } from 'zod'
import { route } from '../../http/route.js'
import { passUiAuthGate } from '../../http/ui-auth-gate.js'
import type { JsonObject } from '../../util/json.js'
import { optionalBoolean } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3accountdeactivate */
export const deactivateAccount = route({
  operationId: 'deactivateAccount',
  method: 'POST',
  path: '/_matrix/client/v3/account/deactivate',
  auth: 'user',
  body: z.looseObject({ erase: optionalBoolean }),
  emptyBody: true,
  async handler({ requester, request, body }, { accountDeactivation, uiAuth }) {
    const challenge = await passUiAuthGate(uiAuth, { requester, request, body: body as JsonObject })
    if (challenge !== undefined) return challenge
    await accountDeactivation.deactivate(requester.userId, { erase: body.erase ?? false })
    // This server binds no identifiers to identity servers, so there is none to unbind.
    return { id_server_unbind_result: 'success' }
  },
})
