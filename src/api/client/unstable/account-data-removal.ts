import { route } from '../../../http/route.js'

const PREFIX = '/_matrix/client/unstable/org.matrix.msc3391/user/:userId'

/** https://github.com/matrix-org/matrix-spec-proposals/pull/3391 */
export const removeAccountData = route({
  operationId: 'unstableRemoveAccountData',
  method: 'DELETE',
  path: `${PREFIX}/account_data/:type`,
  auth: 'user',
  async handler({ params, requester }, { accountData }) {
    await accountData.remove(requester, params.userId, { roomId: undefined, type: params.type })
    return {}
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/pull/3391 */
export const removeAccountDataPerRoom = route({
  operationId: 'unstableRemoveAccountDataPerRoom',
  method: 'DELETE',
  path: `${PREFIX}/rooms/:roomId/account_data/:type`,
  auth: 'user',
  async handler({ params, requester }, { accountData }) {
    await accountData.remove(requester, params.userId, params)
    return {}
  },
})
