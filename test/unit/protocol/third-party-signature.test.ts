import { expect } from 'chai'
import { createSigningKey, signBytes } from '../../../src/protocol/ed25519.js'
import { signableText } from '../../../src/protocol/signed-json.js'
import { hasValidSignature } from '../../../src/protocol/third-party-signature.js'

describe('hasValidSignature', () => {
  const json = { mxid: '@alice:example.org', token: 'abc' }

  async function signature(seed: number): Promise<{ key: string; signature: string }> {
    const key = createSigningKey(Buffer.alloc(32, seed))
    return { key: key.verifyKey.base64, signature: signBytes(key, signableText(json)) }
  }

  it('finds the one signature and key that go together', async () => {
    const [one, two] = [await signature(1), await signature(2)]
    const signatures = {
      'a.example': { 'ed25519:x': two.signature, 'unknown:1': one.signature },
      'b.example': { 'ed25519:0': one.signature },
    }
    expect(hasValidSignature({ ...json, signatures }, ['nonsense', one.key])).to.be.true
    expect(hasValidSignature({ ...json, signatures: { 'b.example': signatures['b.example'] } }, [two.key])).to
      .be.false
    expect(hasValidSignature({ ...json, token: 'x', signatures }, [one.key, two.key])).to.be.false
    expect(hasValidSignature({ ...json, signatures }, [])).to.be.false
  })

  it('refuses what is no signature', async () => {
    const { key } = await signature(1)
    for (const signatures of [undefined, null, 'x', [], { a: 'x' }, { a: { 'ed25519:0': 5 } }]) {
      expect(hasValidSignature({ ...json, ...(signatures !== undefined && { signatures }) }, [key])).to.be
        .false
    }
  })

  it('gives up on a flood of keys and signatures', async () => {
    const [one, two] = [await signature(1), await signature(2)]
    const wrong = Array.from({ length: 500 }, (_, index) => [`ed25519:${index}`, two.signature] as const)
    const signed = { ...json, signatures: { 'a.example': Object.fromEntries(wrong) } }
    const startedAt = performance.now()
    const keys = Array.from({ length: 1000 }, () => one.key)
    expect(hasValidSignature(signed, keys)).to.be.false
    expect(performance.now() - startedAt).to.be.below(1000)
  })
})
