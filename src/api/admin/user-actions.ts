import { z } from 'zod'
import { MatrixError } from '../../protocol/errors.js'
import { route } from '../../http/route.js'
import { optionalBoolean } from '../client/json-object.js'

/** Ends an account for good. */
export const deactivateUser = route({
  operationId: 'adminDeactivateUser',
  method: 'POST',
  path: '/_synapse/admin/v1/deactivate/:userId',
  auth: 'admin',
  emptyBody: true,
  body: z.looseObject({ erase: optionalBoolean }),
  async handler({ params, body }, { accountAdministration }) {
    const erase = body.erase ?? false
    return { id_server_unbind_result: await accountAdministration.deactivate(params.userId, { erase }) }
  },
})

export const resetPassword = route({
  operationId: 'adminResetPassword',
  method: 'POST',
  path: '/_synapse/admin/v1/reset_password/:userId',
  auth: 'admin',
  accounts: 'own',
  body: z.looseObject({ new_password: z.string(), logout_devices: optionalBoolean }),
  async handler({ params, body }, { accountAdministration }) {
    const logoutDevices = body.logout_devices ?? true
    await accountAdministration.setPassword(params.userId, body.new_password, { logoutDevices })
    return {}
  },
})

export const isUserAdmin = route({
  operationId: 'adminIsUserAdmin',
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/admin',
  auth: 'admin',
  accounts: 'own',
  async handler({ params }, { accountOverviews }) {
    return { admin: (await accountOverviews.show(params.userId)).isAdmin }
  },
})

export const setUserAdmin = route({
  operationId: 'adminSetUserAdmin',
  method: 'PUT',
  path: '/_synapse/admin/v1/users/:userId/admin',
  auth: 'admin',
  accounts: 'own',
  body: z.looseObject({ admin: z.boolean() }),
  async handler({ params, requester, body }, { accountAdministration }) {
    if (!body.admin && params.userId === requester.userId) {
      throw new MatrixError('M_UNKNOWN', 'You may not demote yourself.', { status: 400 })
    }
    await accountAdministration.setFlag(params.userId, 'isAdmin', body.admin)
    return {}
  },
})

export const suspendUser = route({
  operationId: 'adminSuspendUser',
  method: 'PUT',
  path: '/_synapse/admin/v1/suspend/:userId',
  auth: 'admin',
  body: z.looseObject({ suspend: z.boolean() }),
  async handler({ params: { userId }, body: { suspend } }, { accountAdministration }) {
    await accountAdministration.setFlag(userId, 'isSuspended', suspend)
    return { [`user_${userId}_suspended`]: suspend }
  },
})

export const shadowBanUser = route({
  operationId: 'adminShadowBanUser',
  method: 'POST',
  path: '/_synapse/admin/v1/users/:userId/shadow_ban',
  auth: 'admin',
  async handler({ params }, { accountAdministration }) {
    await accountAdministration.setFlag(params.userId, 'isShadowBanned', true)
    return {}
  },
})

export const liftShadowBan = route({
  operationId: 'adminLiftShadowBan',
  method: 'DELETE',
  path: '/_synapse/admin/v1/users/:userId/shadow_ban',
  auth: 'admin',
  async handler({ params }, { accountAdministration }) {
    await accountAdministration.setFlag(params.userId, 'isShadowBanned', false)
    return {}
  },
})

export const whoIsUser = route({
  operationId: 'adminWhoIs',
  method: 'GET',
  path: '/_synapse/admin/v1/whois/:userId',
  auth: 'admin',
  handler: ({ params, requester }, { whois }) => whois.get(requester, params.userId),
})

/** Whether somebody could register with a name. */
export const isUsernameAvailable = route({
  operationId: 'adminIsUsernameAvailable',
  method: 'GET',
  path: '/_synapse/admin/v1/username_available',
  auth: 'admin',
  query: z.looseObject({ username: z.string() }),
  async handler({ query }, { accountRegistration }) {
    await accountRegistration.checkFree(query.username)
    return { available: true }
  },
})
