import { notFound } from '../../protocol/errors.js'
import { route } from '../../http/route.js'

/** https://spec.matrix.org/latest/client-server-api/#getwell-knownmatrixsupport */
export const getWellknownSupport = route({
  operationId: 'getWellknownSupport',
  method: 'GET',
  path: '/.well-known/matrix/support',
  auth: 'none',
  async handler(_input, { serverDescription }) {
    const document = serverDescription.supportDocument
    if (document === undefined) throw notFound('No support information available')
    return Promise.resolve(document)
  },
})
