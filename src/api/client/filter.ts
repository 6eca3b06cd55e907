import { route } from '../../http/route.js'
import { jsonObject } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3useruseridfilter */
export const defineFilter = route({
  operationId: 'defineFilter',
  method: 'POST',
  path: '/_matrix/client/v3/user/:userId/filter',
  auth: 'user',
  body: jsonObject,
  async handler({ params, requester, body }, { filters }) {
    return { filter_id: await filters.create(requester, params.userId, body) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3useruseridfilterfilterid */
export const getFilter = route({
  operationId: 'getFilter',
  method: 'GET',
  path: '/_matrix/client/v3/user/:userId/filter/:filterId',
  auth: 'user',
  async handler({ params, requester }, { filters }) {
    return filters.get(requester, params.userId, params.filterId)
  },
})
