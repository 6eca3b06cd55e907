import { route } from '../../http/route.js'

/**
 * The networks that bridges make reachable: none, for no application service is known here.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3thirdpartyprotocols
 */
export const getProtocols = route({
  operationId: 'getProtocols',
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/protocols',
  auth: 'user',
  async handler() {
    return Promise.resolve({})
  },
})
