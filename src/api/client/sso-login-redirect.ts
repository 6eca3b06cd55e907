import { notFound } from '../../protocol/errors.js'
import { route } from '../../http/route.js'

const notOffered = () => notFound('There is no single sign-on at this server')

/**
 * Says that there is no single sign-on here.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3loginssoredirect
 */
export const redirectToSSO = route({
  operationId: 'redirectToSSO',
  method: 'GET',
  path: '/_matrix/client/v3/login/sso/redirect',
  auth: 'none',
  async handler() {
    return Promise.reject(notOffered())
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3loginssoredirectidpid */
export const redirectToIdP = route({
  operationId: 'redirectToIdP',
  method: 'GET',
  path: '/_matrix/client/v3/login/sso/redirect/:idpId',
  auth: 'none',
  async handler() {
    return Promise.reject(notOffered())
  },
})
