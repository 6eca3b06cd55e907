import { plainText } from '../../http/responses.js'
import { route } from '../../http/route.js'

/** For load balancers: this process answers. */
export const getHealth = route({
  operationId: 'getHealth',
  method: 'GET',
  path: '/health',
  auth: 'none',
  async handler() {
    return Promise.resolve(plainText('OK'))
  },
})
