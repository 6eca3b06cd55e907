import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3logout */
export const logout = route({
  operationId: 'logout',
  method: 'POST',
  path: '/_matrix/client/v3/logout',
  auth: 'userOrGuest',
  accounts: 'own',
  allowLocked: true,
  async handler({ requester }, { logout: service }) {
    await service.logout(requester)
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3logoutall */
export const logoutAll = route({
  operationId: 'logout_all',
  method: 'POST',
  path: '/_matrix/client/v3/logout/all',
  auth: 'userOrGuest',
  accounts: 'own',
  allowLocked: true,
  async handler({ requester }, { logout: service }) {
    await service.logoutAll(requester)
    return {}
  },
})
