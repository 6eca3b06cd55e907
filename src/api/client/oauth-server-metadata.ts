import { unrecognized } from '../../protocol/errors.js'
import { route } from '../../http/route.js'

/**
 * Says that there is no OAuth 2.0 here.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1auth_metadata
 */
export const getAuthMetadata = route({
  operationId: 'getAuthMetadata',
  method: 'GET',
  path: '/_matrix/client/v1/auth_metadata',
  aliases: ['/_matrix/client/unstable/org.matrix.msc2965/auth_metadata'],
  auth: 'none',
  async handler() {
    return Promise.reject(unrecognized())
  },
})
