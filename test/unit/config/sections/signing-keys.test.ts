import { expect } from 'chai'
import { errorsOf, loadKeys } from '../../../support/load-config.js'

describe('signing keys', () => {
  it('lists old ones', async () => {
    const key = 'A'.repeat(43)
    const { config } = await loadKeys({ old_signing_keys: { 'ed25519:a_b': { key, expired_ts: 5 } } })
    expect(config.signingKeys.old).to.deep.equal([{ keyId: 'ed25519:a_b', publicKey: key, expiredTs: 5 }])
    expect(await errorsOf({ old_signing_keys: { a_b: { key, expired_ts: 5 } } })).to.deep.equal([
      'old_signing_keys.a_b: expected a key ID such as ed25519:a_AbCd',
    ])
  })

  it('does not trust servers that prove nothing, unless it is told to', async () => {
    const trust = (server: object) => ({
      federation_verify_certificates: false,
      trusted_key_servers: [{ server_name: 'a.org', ...server }],
    })
    expect((await errorsOf(trust({})))[0]).to.match(/^trusted_key_servers\[0\]: nothing would prove/)
    for (const server of [
      { verify_keys: { 'ed25519:a': 'A'.repeat(43) } },
      { accept_keys_insecurely: true },
    ]) {
      const { config } = await loadKeys(trust(server))
      expect(config.signingKeys.trustedServers).to.have.length(1)
    }
  })
})
