import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1userdevicesuserid */
export const getUserDevices = route({
  operationId: 'federationGetUserDevices',
  method: 'GET',
  path: '/_matrix/federation/v1/user/devices/:userId',
  auth: 'federation',
  async handler({ params, requester }, { deviceListAnswers }) {
    return deviceListAnswers.list(requester.origin, params.userId)
  },
})
