import { z } from 'zod'
import { route } from '../../http/route.js'
import type { JsonObject } from '../../util/json.js'

const jsonObject = z.record(z.string(), z.unknown()).transform((value) => value as JsonObject)

/** https://spec.matrix.org/latest/server-server-api/#post_matrixfederationv1userkeysclaim */
export const claimUserEncryptionKeys = route({
  operationId: 'federationClaimUserEncryptionKeys',
  method: 'POST',
  path: '/_matrix/federation/v1/user/keys/claim',
  auth: 'federation',
  body: z.looseObject({ one_time_keys: jsonObject }),
  async handler({ body }, { keyClaims }) {
    return keyClaims.claimForServer(body.one_time_keys)
  },
})

/** https://spec.matrix.org/latest/server-server-api/#post_matrixfederationv1userkeysquery */
export const queryUserEncryptionKeys = route({
  operationId: 'federationQueryUserEncryptionKeys',
  method: 'POST',
  path: '/_matrix/federation/v1/user/keys/query',
  auth: 'federation',
  body: z.looseObject({ device_keys: jsonObject }),
  async handler({ body }, { keyQueries }) {
    return keyQueries.queryForServer(body.device_keys)
  },
})
