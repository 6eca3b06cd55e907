import { route } from '../../http/route.js'
import { jsonObject } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3useruseridaccount_datatype */
export const setAccountData = route({
  operationId: 'setAccountData',
  method: 'PUT',
  path: '/_matrix/client/v3/user/:userId/account_data/:type',
  auth: 'user',
  body: jsonObject,
  async handler({ params, requester, body }, { accountData }) {
    await accountData.put(requester, params.userId, { roomId: undefined, type: params.type, content: body })
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3useruseridaccount_datatype */
export const getAccountData = route({
  operationId: 'getAccountData',
  method: 'GET',
  path: '/_matrix/client/v3/user/:userId/account_data/:type',
  auth: 'user',
  async handler({ params, requester }, { accountData }) {
    return accountData.get(requester, params.userId, undefined, params.type)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3useruseridroomsroomidaccount_datatype */
export const setAccountDataPerRoom = route({
  operationId: 'setAccountDataPerRoom',
  method: 'PUT',
  path: '/_matrix/client/v3/user/:userId/rooms/:roomId/account_data/:type',
  auth: 'user',
  body: jsonObject,
  async handler({ params, requester, body }, { accountData }) {
    const { userId, roomId, type } = params
    await accountData.put(requester, userId, { roomId, type, content: body })
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3useruseridroomsroomidaccount_datatype */
export const getAccountDataPerRoom = route({
  operationId: 'getAccountDataPerRoom',
  method: 'GET',
  path: '/_matrix/client/v3/user/:userId/rooms/:roomId/account_data/:type',
  auth: 'user',
  async handler({ params, requester }, { accountData }) {
    return accountData.get(requester, params.userId, params.roomId, params.type)
  },
})
