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

  it('has ranges of its own for other servers only where the old key says so', async () => {
    const both = { ip_range_blacklist: ['192.0.2.0/24'], ip_range_whitelist: ['192.0.2.1'] }
    const { network } = (await loadKeys(both)).config
    expect(network.federation).to.deep.equal({
      deniedRanges: network.deniedRanges,
      allowedRanges: network.allowedRanges,
    })
    const old = (await loadKeys({ ...both, federation_ip_range_blacklist: ['10.0.0.0/8'] })).config.network
    expect(old.federation).to.deep.equal({
      deniedRanges: ['10.0.0.0/8', '0.0.0.0/32', '::/128'],
      allowedRanges: [],
    })
    expect(old.deniedRanges).to.deep.equal(network.deniedRanges)
  })

  for (const range of ['10.0.0.0/33', '10.0.0/8', 'example.org', '::1/129', '10.0.0.0/8/8', 5]) {
    it(`takes ${JSON.stringify(range)} for no range`, async () => {
      expect((await errorsOf({ ip_range_whitelist: [range] }))[0]).to.match(
        /^ip_range_whitelist\[0\]: expected an IP/,
      )
    })
  }

  it('reaches others through proxies, of the file or of the environment', async () => {
    const load = async (keys: object, env: Record<string, string>) => {
      const { network } = (await loadKeys(keys, env)).config
      const { httpProxy, httpsProxy, directHosts } = network
      return [httpProxy?.href, httpsProxy?.href, directHosts]
    }
    expect(await load({}, {})).to.deep.equal([undefined, undefined, []])
    const keys = { http_proxy: 'proxy:1', https_proxy: 'https://u:p@proxy', no_proxy_hosts: ['a.org'] }
    expect(await load(keys, { HTTPS_PROXY: 'other:2' })).to.deep.equal([
      'http://proxy:1/',
      'https://u:p@proxy/',
      ['a.org'],
    ])
    const env = { http_proxy: 'http://proxy:1', https_proxy: 'proxy:2', no_proxy: 'a.org, 10.0.0.0/8,' }
    expect(await load({}, env)).to.deep.equal(['http://proxy:1/', 'http://proxy:2/', ['a.org', '10.0.0.0/8']])
    expect((await errorsOf({ https_proxy: 'socks5://proxy' }))[0]).to.match(
      /^https_proxy: expected the address/,
    )
  })

  it('calls itself what the operator wants', async () => {
    const suffix = async (keys: object) => (await loadKeys(keys)).config.network.userAgentSuffix
    expect(await suffix({})).to.equal('')
    expect(await suffix({ user_agent_suffix: 'of example.org' })).to.equal(' of example.org')
    expect(await errorsOf({ user_agent_suffix: 'a\r\nX-Header: b' })).to.have.length(1)
  })
})
