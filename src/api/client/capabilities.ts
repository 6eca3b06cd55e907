import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3capabilities */
export const getCapabilities = route({
  operationId: 'getCapabilities',
  method: 'GET',
  path: '/_matrix/client/v3/capabilities',
  auth: 'userOrGuest',
  async handler({ requester }, { serverDescription }) {
    return Promise.resolve({ capabilities: serverDescription.listCapabilities(requester) })
  },
})
