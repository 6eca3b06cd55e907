import { z } from 'zod'
import { route } from '../../http/route.js'
import { passUiAuthGate } from '../../http/ui-auth-gate.js'
import type { JsonObject } from '../../util/json.js'
import { optionalBoolean, optionalString } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3accountdeactivate */
export const deactivateAccount = route({
  operationId: 'deactivateAccount',
  method: 'POST',
  path: '/_matrix/client/v3/account/deactivate',
  auth: 'user',
  accounts: 'own',
  body: z.looseObject({ erase: optionalBoolean, id_server: optionalString }),
  emptyBody: true,
  async handler({ requester, request, body }, { accountDeactivation, identityBindings, uiAuth }) {
    const challenge = await passUiAuthGate(uiAuth, { requester, request, body: body as JsonObject })
    if (challenge !== undefined) return challenge
    const { userId } = requester
    await accountDeactivation.deactivate(userId, { erase: body.erase ?? false })
    return { id_server_unbind_result: await identityBindings.unbindAll(userId, body.id_server) }
  },
})
