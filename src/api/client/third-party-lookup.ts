import { z } from 'zod'
import { route } from '../../http/route.js'

/**
 * The networks that bridges make reachable.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3thirdpartyprotocols
 */
export const getProtocols = route({
  operationId: 'getProtocols',
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/protocols',
  auth: 'user',
  async handler(_input, { thirdPartyNetworks }) {
    return thirdPartyNetworks.listProtocols()
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3thirdpartyprotocolprotocol */
export const getProtocolMetadata = route({
  operationId: 'getProtocolMetadata',
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/protocol/:protocol',
  auth: 'user',
  async handler({ params }, { thirdPartyNetworks }) {
    return thirdPartyNetworks.getProtocol(params.protocol)
  },
})

/** The fields that a search may name are the protocol's own. */
const fields = z.record(z.string(), z.unknown()).transform((query) => {
  const texts: Record<string, string> = {}
  for (const [name, value] of Object.entries(query)) {
    const first: unknown = Array.isArray(value) ? value[0] : value
    if (name !== 'access_token' && typeof first === 'string') texts[name] = first
  }
  return texts
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3thirdpartylocationprotocol */
export const queryLocationByProtocol = route({
  operationId: 'queryLocationByProtocol',
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/location/:protocol',
  auth: 'user',
  query: fields,
  async handler({ params, query }, { thirdPartyNetworks }) {
    return thirdPartyNetworks.search('location', params.protocol, query)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3thirdpartyuserprotocol */
export const queryUserByProtocol = route({
  operationId: 'queryUserByProtocol',
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/user/:protocol',
  auth: 'user',
  query: fields,
  async handler({ params, query }, { thirdPartyNetworks }) {
    return thirdPartyNetworks.search('user', params.protocol, query)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3thirdpartylocation */
export const queryLocationByAlias = route({
  operationId: 'queryLocationByAlias',
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/location',
  auth: 'user',
  query: z.looseObject({ alias: z.string() }),
  async handler({ query }, { thirdPartyNetworks }) {
    return thirdPartyNetworks.reverse('location', { alias: query.alias })
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3thirdpartyuser */
export const queryUserByID = route({
  operationId: 'queryUserByID',
  method: 'GET',
  path: '/_matrix/client/v3/thirdparty/user',
  auth: 'user',
  query: z.looseObject({ userid: z.string() }),
  async handler({ query }, { thirdPartyNetworks }) {
    return thirdPartyNetworks.reverse('user', { userid: query.userid })
  },
})
