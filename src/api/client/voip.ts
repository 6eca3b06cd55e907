import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3voipturnserver */
export const getTurnServer = route({
  operationId: 'getTurnServer',
  method: 'GET',
  path: '/_matrix/client/v3/voip/turnServer',
  auth: 'userOrGuest',
  async handler({ requester }, { turnCredentials }) {
    return Promise.resolve(turnCredentials.issue(requester))
  },
})
