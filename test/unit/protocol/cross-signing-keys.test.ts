import { expect } from 'chai'
import { parseCrossSigningKey } from '../../../src/protocol/cross-signing-keys.js'
import type { UserId } from '../../../src/protocol/ids.js'
import { CrossSigningIdentity } from '../../support/encryption.js'

const ALICE = '@alice:hs.test' as UserId

describe('cross-signing keys', () => {
  const identity = new CrossSigningIdentity(ALICE)

  it('are named by themselves', () => {
    const { masterKey, master } = identity
    expect(parseCrossSigningKey({ ...masterKey, unsigned: { a: 1 } }, 'master', ALICE)).to.deep.equal({
      usage: 'master',
      publicKey: master.publicKey,
      json: masterKey,
    })
  })

  it('may be for several uses, but for the one that is meant', () => {
    const key = { ...identity.masterKey, usage: ['other', 'master'] }
    expect(parseCrossSigningKey(key, 'master', ALICE).usage).to.equal('master')
    expect(() => parseCrossSigningKey(key, 'self_signing', ALICE))
      .to.throw()
      .with.property('errcode', 'M_INVALID_PARAM')
  })

  it('are one key and no more', () => {
    const other = new CrossSigningIdentity(ALICE).master.publicKey
    const { masterKey } = identity
    const keys = { ...(masterKey['keys'] as object), [`ed25519:${other}`]: other }
    expect(() => parseCrossSigningKey({ ...masterKey, keys }, 'master', ALICE))
      .to.throw()
      .with.property('errcode', 'M_INVALID_PARAM')
  })
})
