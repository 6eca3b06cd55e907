import { expect } from 'chai'
import { errorsOf, loadKeys } from '../../../support/load-config.js'

describe('retention', () => {
  it('has its times in milliseconds', async () => {
    const { config } = await loadKeys({
      retention: { enabled: true, default_policy: { max_lifetime: '1w' }, purge_jobs: [{ interval: '12h' }] },
    })
    expect(config.retention.defaultPolicy.maxLifetimeMs).to.equal(604_800_000)
    expect(config.retention.purgeJobs).to.deep.equal([
      { intervalMs: 43_200_000, shortestMaxLifetimeMs: undefined, longestMaxLifetimeMs: undefined },
    ])
  })

  it('does not take bounds the wrong way round', async () => {
    const keys = { retention: { allowed_lifetime_min: '2d', allowed_lifetime_max: '1d' } }
    expect(await errorsOf(keys)).to.deep.equal([
      'retention.allowed_lifetime_min: must not be longer than allowed_lifetime_max',
    ])
  })
})
