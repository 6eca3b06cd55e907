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
})
