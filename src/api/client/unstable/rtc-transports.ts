import { route } from '../../../http/route.js'
import { unrecognized } from '../../../protocol/errors.js'

/** https://github.com/matrix-org/matrix-spec-proposals/pull/4143 */
export const getRtcTransports = route({
  operationId: 'unstableGetRtcTransports',
  method: 'GET',
  path: '/_matrix/client/unstable/org.matrix.msc4143/rtc/transports',
  auth: 'user',
  async handler(_input, { serverDescription }) {
    const { rtcTransports } = serverDescription
    if (rtcTransports === undefined) throw unrecognized()
    return Promise.resolve({ rtc_transports: [...rtcTransports] })
  },
})
