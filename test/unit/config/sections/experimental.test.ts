import { expect } from 'chai'
import { testConfig } from '../../../support/homeserver.js'
import { warningsOf } from '../../../support/load-config.js'

const LISTENERS = { listeners: [{ port: 8008 }] }

describe('experimental features', () => {
  it('warns of those that are switched on and not served', async () => {
    const experimental_features = { msc4263_enabled: true, msc3026_enabled: false, msc4222_enabled: true }
    expect(await warningsOf({ ...LISTENERS, experimental_features })).to.deep.equal([
      'experimental_features.msc4263_enabled: this proposal is not served yet',
    ])
  })

  it('are read as Synapse has them, sliding sync alone being on by default', () => {
    const { experimental: off } = testConfig()
    expect(off).to.include({
      slidingSync: true,
      threadSubscriptions: false,
      maxEventDelayMs: undefined,
      maxDelayedEvents: 100,
      rtcTransports: undefined,
    })
    const transports = [{ type: 'livekit', livekit_service_url: 'https://livekit.test' }]
    const { experimental: on } = testConfig({
      max_event_delay_duration: '24h',
      matrix_rtc: { transports },
      experimental_features: {
        msc3575_enabled: false,
        msc4306_enabled: true,
        msc4143_enabled: true,
        msc3381_polls_enabled: true,
        msc4210_enabled: true,
        msc4140_max_delayed_events_per_user: 5,
      },
    })
    expect(off.defaultPushRules).to.deep.equal({
      textMentions: true,
      polls: false,
      threadSubscriptions: false,
    })
    expect(on.defaultPushRules).to.deep.equal({
      textMentions: false,
      polls: true,
      threadSubscriptions: true,
    })
    expect(on).to.include({ slidingSync: false, threadSubscriptions: true, maxDelayedEvents: 5 })
    expect(on.maxEventDelayMs).to.equal(86_400_000)
    expect(on.rtcTransports).to.deep.equal(transports)
  })

  it('are refused where they make no sense', () => {
    const features = (value: unknown) => ({
      experimental_features: { msc4140_max_delayed_events_per_user: value },
    })
    expect(() => testConfig(features(-1))).to.throw('whole number')
    expect(() => testConfig(features('x'))).to.throw('whole number')
    for (const transports of [5, [{}], [{ type: 'livekit' }]])
      expect(() =>
        testConfig({ matrix_rtc: { transports }, experimental_features: { msc4143_enabled: true } }),
      ).to.throw('transports')
  })
})
