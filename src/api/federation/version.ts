import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1version */
export const getVersion = route({
  operationId: 'federationGetVersion',
  method: 'GET',
  path: '/_matrix/federation/v1/version',
  auth: 'none',
  async handler(_input, { serverDescription }) {
    const [name = '', version = ''] = serverDescription.version.split(' ')
    return Promise.resolve({ server: { name, version } })
  },
})
