import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { makeSigningKey } from '../../../../src/protocol/signing-keys.js'
import { OwnKeys } from '../../../../src/services/remote/own-keys.js'
import { ManualClock } from '../../../support/manual-clock.js'

describe('OwnKeys', () => {
  it('are published for as long as they may be kept, and made anew when half of that is over', async () => {
    const clock = new ManualClock()
    const current = [makeSigningKey('k', Buffer.alloc(32, 1))]
    const keys = new OwnKeys(
      { serverName: 'a.test' as ServerName, current, old: [], validityMs: 1000 },
      clock,
    )
    const start = clock.now()
    const first = keys.document()
    expect(first).to.include({ server_name: 'a.test', valid_until_ts: start + 1000 })
    clock.advance(499)
    expect(keys.document()).to.equal(first)
    clock.advance(1)
    expect(keys.document()).to.have.property('valid_until_ts', start + 1500)
  })

  it('verify what was signed with keys of the past', async () => {
    const clock = new ManualClock()
    const { key } = makeSigningKey('old', Buffer.alloc(32, 2))
    const old = [{ keyId: 'ed25519:old', key: key.verifyKey, expiredTs: 5 }]
    const current = [makeSigningKey('new', Buffer.alloc(32, 1))]
    const keys = new OwnKeys({ serverName: 'a.test' as ServerName, current, old, validityMs: 1 }, clock)
    expect([...keys.verifyKeys()].map(([keyId, { validUntilTs }]) => [keyId, validUntilTs])).to.deep.equal([
      ['ed25519:old', 5],
      ['ed25519:new', Infinity],
    ])
  })
})
