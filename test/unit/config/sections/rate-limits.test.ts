import { expect } from 'chai'
import { DEFAULT_RATE_LIMITS } from '../../../../src/services/accounts/ratelimits.js'
import { errorsOf, loadKeys } from '../../../support/load-config.js'

describe('rate limits', () => {
  it('are those that the limiter has without a configuration', async () => {
    const { config } = await loadKeys({})
    expect(config.rateLimits).to.deep.equal(DEFAULT_RATE_LIMITS)
  })

  it('keep the default of what is left out', async () => {
    const { config } = await loadKeys({
      rc_message: { per_second: 5 },
      rc_login: { account: { burst_count: 7 } },
      rc_joins: { remote: { per_second: 1, burst_count: 1 } },
    })
    expect(config.rateLimits.message).to.deep.equal({ perSecond: 5, burstCount: 10 })
    expect(config.rateLimits.loginAccount).to.deep.equal({ perSecond: 0.003, burstCount: 7 })
    expect(config.rateLimits.loginAddress).to.deep.equal({ perSecond: 0.003, burstCount: 5 })
    expect(config.rateLimits.joinsRemote).to.deep.equal({ perSecond: 1, burstCount: 1 })
  })

  it('of redactions by administrators are those of messages unless they are set', async () => {
    const rates = async (keys: object) => (await loadKeys(keys)).config.rateLimits.adminRedaction
    expect(await rates({ rc_message: { per_second: 5 } })).to.deep.equal({ perSecond: 5, burstCount: 10 })
    expect(await rates({ rc_admin_redaction: { per_second: 9 } })).to.deep.equal({
      perSecond: 9,
      burstCount: 10,
    })
  })

  it('are numbers that are not negative', async () => {
    expect(await errorsOf({ rc_reports: { per_second: -1 }, rc_presence: 5 })).to.deep.equal([
      'rc_reports.per_second: expected a number that is not negative, got -1',
      'rc_presence: expected a map, got 5',
    ])
  })

  it('are also read by their old names', async () => {
    const { config, warnings } = await loadKeys({ rc_messages_per_second: 1, federation_rc_concurrent: 7 })
    expect(config.rateLimits.message).to.deep.equal({ perSecond: 1, burstCount: 10 })
    expect(config.federation.inboundLimits).to.include({ concurrent: 7 })
    expect(warnings.map(({ message }) => message)).to.include(
      'it is out of date: use rc_message (mxhs check-config --migrate puts it in its place)',
    )
  })
})
