import { z } from 'zod'
import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3adminwhoisuserid */
export const getWhoIs = route({
  operationId: 'getWhoIs',
  method: 'GET',
  path: '/_matrix/client/v3/admin/whois/:userId',
  auth: 'user',
  async handler({ params, requester }, { whois }) {
    return whois.get(requester, params.userId)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1adminsuspenduserid */
export const getAdminSuspendUser = route({
  operationId: 'getAdminSuspendUser',
  method: 'GET',
  path: '/_matrix/client/v1/admin/suspend/:userId',
  aliases: ['/_matrix/client/unstable/uk.timedout.msc4323/admin/suspend/:userId'],
  auth: 'admin',
  async handler({ params, requester }, { accountModeration }) {
    return { suspended: await accountModeration.get(requester, params.userId, 'isSuspended') }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv1adminsuspenduserid */
export const setAdminSuspendUser = route({
  operationId: 'setAdminSuspendUser',
  method: 'PUT',
  path: '/_matrix/client/v1/admin/suspend/:userId',
  aliases: ['/_matrix/client/unstable/uk.timedout.msc4323/admin/suspend/:userId'],
  auth: 'admin',
  body: z.looseObject({ suspended: z.boolean() }),
  async handler({ params, requester, body: { suspended } }, { accountModeration }) {
    await accountModeration.set(requester, params.userId, { restriction: 'isSuspended', value: suspended })
    return { suspended }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1adminlockuserid */
export const getAdminLockUser = route({
  operationId: 'getAdminLockUser',
  method: 'GET',
  path: '/_matrix/client/v1/admin/lock/:userId',
  aliases: ['/_matrix/client/unstable/uk.timedout.msc4323/admin/lock/:userId'],
  auth: 'admin',
  async handler({ params, requester }, { accountModeration }) {
    return { locked: await accountModeration.get(requester, params.userId, 'isLocked') }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv1adminlockuserid */
export const setAdminLockUser = route({
  operationId: 'setAdminLockUser',
  method: 'PUT',
  path: '/_matrix/client/v1/admin/lock/:userId',
  aliases: ['/_matrix/client/unstable/uk.timedout.msc4323/admin/lock/:userId'],
  auth: 'admin',
  body: z.looseObject({ locked: z.boolean() }),
  async handler({ params, requester, body: { locked } }, { accountModeration }) {
    await accountModeration.set(requester, params.userId, { restriction: 'isLocked', value: locked })
    return { locked }
  },
})
