import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { errorsOf, loadKeys, warningsOf } from '../../../support/load-config.js'

describe('federation', () => {
  const load = async (keys: object) => (await loadKeys(keys)).config.federation

  it('is open to everybody unless there is a list', async () => {
    expect((await load({})).allowedDomains).to.equal(undefined)
    const { allowedDomains } = await load({ federation_domain_whitelist: ['a.org', 'b.org:8448'] })
    expect(allowedDomains?.has('b.org:8448' as ServerName)).to.be.true
    expect((await load({ federation_domain_whitelist: [] })).allowedDomains?.size).to.equal(0)
    expect((await errorsOf({ federation_domain_whitelist: ['https://a.org'] }))[0]).to.match(
      /^federation_domain_whitelist\[0\]: expected a server name/,
    )
  })

  for (const [text, version] of [
    [1, 'TLSv1'],
    ['1', 'TLSv1'],
    [1.1, 'TLSv1.1'],
    ['1.2', 'TLSv1.2'],
    [1.3, 'TLSv1.3'],
  ] as const) {
    it(`takes ${typeof text} ${text} for ${version}`, async () => {
      expect((await load({ federation_client_minimum_tls_version: text })).minTlsVersion).to.equal(version)
    })
  }

  it('knows no other version of TLS', async () => {
    for (const version of ['1.4', 2, 'TLSv1.2', true]) {
      expect(await errorsOf({ federation_client_minimum_tls_version: version })).to.have.length(1)
    }
  })

  it('exempts names from verification', async () => {
    const { isExemptFromVerification: isExempt } = await load({
      federation_certificate_verification_whitelist: ['*.onion', 'LAN.example.org'],
    })
    expect(['x.onion', 'lan.example.org', 'onion', 'a.org'].map(isExempt)).to.deep.equal([
      true,
      true,
      false,
      false,
    ])
  })

  it('has times and limits', async () => {
    const section = await load({
      rc_federation: { window_size: '2s', concurrent: 1 },
      federation: { client_timeout: '5s', destination_max_retry_interval: '1h', max_short_retries: 0 },
    })
    expect(section.inboundLimits).to.deep.equal({
      windowMs: 2000,
      sleepLimit: 10,
      sleepDelayMs: 500,
      rejectLimit: 50,
      concurrent: 1,
    })
    expect(section.requestTimeoutMs).to.equal(5000)
    expect(section.retries).to.deep.equal({ count: 0, maxDelayMs: 2000 })
    expect(section.backoff).to.deep.equal({ minMs: 600_000, factor: 2, maxMs: 3_600_000 })
    expect(await errorsOf({ rc_federation: { concurrent: 0 } })).to.have.length(1)
  })

  it('warns of what means nothing', async () => {
    expect(await warningsOf({ federation: { max_long_retries: 3 } })).to.include(
      'federation.max_long_retries: has no effect: what is sent is tried again for as long as the server is not given up',
    )
  })
})
