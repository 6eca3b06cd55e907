import { route } from '../../http/route.js'
import { notFound } from '../../protocol/errors.js'

/** https://spec.matrix.org/latest/client-server-api/#getwell-knownmatrixclient */
export const getWellknown = route({
  operationId: 'getWellknown',
  method: 'GET',
  path: '/.well-known/matrix/client',
  auth: 'none',
  async handler(_input, { serverDescription, authenticationService }) {
    const wellKnown = serverDescription.clientWellKnown
    if (wellKnown === undefined) throw notFound('No discovery information available')
    // What the operator adds does not replace it.
    return { ...wellKnown, ...(await authenticationService?.describeForWellKnown()) }
  },
})

/** https://spec.matrix.org/latest/server-server-api/#getwell-knownmatrixserver */
export const getServerWellKnown = route({
  operationId: 'getServerWellKnown',
  method: 'GET',
  path: '/.well-known/matrix/server',
  auth: 'none',
  async handler(_input, { serverDescription }) {
    const wellKnown = serverDescription.serverWellKnown
    if (wellKnown === undefined) throw notFound('No discovery information available')
    return Promise.resolve(wellKnown)
  },
})
