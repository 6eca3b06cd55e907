import { route } from '../../http/route.js'

/** The Synapse whose administration API this server has: tools compare it with the one that they need. */
const LIKE_SYNAPSE = '1.160.0'

/** The server's version, for administration tools: they ask before they log in. */
export const getServerVersion = route({
  operationId: 'adminGetServerVersion',
  method: 'GET',
  path: '/_synapse/admin/v1/server_version',
  auth: 'none',
  async handler(_input, { serverDescription }) {
    return Promise.resolve({ server_version: `${LIKE_SYNAPSE} (${serverDescription.version})` })
  },
})
