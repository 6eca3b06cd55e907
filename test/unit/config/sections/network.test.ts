import { expect } from 'chai'
import { errorsOf, loadKeys } from '../../../support/load-config.js'

describe('network', () => {
  it('denies private ranges and what is no address, always', async () => {
    const ranges = async (keys: object) => (await loadKeys(keys)).config.network.deniedRanges
    expect(await ranges({})).to.include.members(['10.0.0.0/8', '::1/128', '0.0.0.0/32'])
    expect(await ranges({ ip_range_blacklist: ['192.0.2.1', '2001:db8::/32'] })).to.deep.equal([
      '192.0.2.1/32',
      '2001:db8::/32',
      '0.0.0.0/32',
      '::/128',
    ])
  })

  for (const range of ['10.0.0.0/33', '10.0.0/8', 'example.org', '::1/129', '10.0.0.0/8/8', 5]) {
    it(`takes ${JSON.stringify(range)} for no range`, async () => {
      expect((await errorsOf({ ip_range_whitelist: [range] }))[0]).to.match(
        /^ip_range_whitelist\[0\]: expected an IP/,
      )
    })
  }
})
