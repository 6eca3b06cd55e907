import { route } from '../../http/route.js'
import { unrecognized } from '../../protocol/errors.js'

/** Which servers this one talks to, for clients that warn of others; where the configuration says so. */
export const getFederationWhitelist = route({
  operationId: 'unstableGetFederationWhitelist',
  method: 'GET',
  path: '/_synapse/client/v1/config/federation_whitelist',
  auth: 'user',
  async handler(_input, { federationClient }) {
    const domains = federationClient.publishedDomains()
    if (domains === undefined) throw unrecognized()
    return Promise.resolve(domains)
  },
})
