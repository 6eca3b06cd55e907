import { route } from '../../../http/route.js'
import { unrecognized } from '../../../protocol/errors.js'

/** https://github.com/matrix-org/matrix-spec-proposals/pull/1763 */
export const getRetentionConfiguration = route({
  operationId: 'unstableGetRetentionConfiguration',
  method: 'GET',
  path: '/_matrix/client/unstable/org.matrix.msc1763/retention/configuration',
  auth: 'user',
  async handler(_input, { serverDescription }) {
    const { retention } = serverDescription
    if (retention === undefined) throw unrecognized()
    return Promise.resolve(retention)
  },
})
