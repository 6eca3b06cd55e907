import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3accountwhoami */
export const getTokenOwner = route({
  operationId: 'getTokenOwner',
  method: 'GET',
  path: '/_matrix/client/v3/account/whoami',
  auth: 'userOrGuest',
  async handler({ requester }) {
    return Promise.resolve({
      user_id: requester.userId,
      is_guest: requester.isGuest,
      ...(requester.deviceId === undefined ? {} : { device_id: requester.deviceId }),
    })
  },
})
