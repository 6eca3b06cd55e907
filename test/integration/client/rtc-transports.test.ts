import { expect } from 'chai'
import { startHomeserver } from '../../support/homeserver.js'
import { dig } from '../../support/matrix-client.js'

const PATH = '/_matrix/client/unstable/org.matrix.msc4143/rtc/transports'
const TRANSPORTS = [{ type: 'livekit', livekit_service_url: 'https://livekit.test' }]

describe('RTC transports', () => {
  it('are told to users, and in discovery', async () => {
    const config = {
      public_baseurl: 'https://hs.test/',
      matrix_rtc: { transports: TRANSPORTS },
      experimental_features: { msc4143_enabled: true },
    }
    await using hs = await startHomeserver({ config })
    const alice = await hs.register('alice')
    expect(await alice.must('GET', PATH)).to.deep.equal({ rtc_transports: TRANSPORTS })
    expect(await hs.client().request('GET', PATH)).to.include({ status: 401 })
    const wellKnown = await alice.must('GET', '/.well-known/matrix/client')
    expect(wellKnown['org.matrix.msc4143.rtc_foci']).to.deep.equal(TRANSPORTS)
    const versions = await alice.must('GET', '/_matrix/client/versions')
    expect(dig(versions, 'unstable_features', 'org.matrix.msc4143')).to.equal(true)
  })

  it('may be none', async () => {
    await using hs = await startHomeserver({ config: { experimental_features: { msc4143_enabled: true } } })
    const alice = await hs.register('alice')
    expect(await alice.must('GET', PATH)).to.deep.equal({ rtc_transports: [] })
  })

  it('are not there unless they are switched on', async () => {
    await using hs = await startHomeserver({ config: { matrix_rtc: { transports: TRANSPORTS } } })
    const alice = await hs.register('alice')
    const answer = await alice.request('GET', PATH)
    expect([answer.status, answer.body['errcode']]).to.deep.equal([404, 'M_UNRECOGNIZED'])
  })
})
