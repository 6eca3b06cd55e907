import { expect } from 'chai'
import fc from 'fast-check'
import { verifySignature } from '../../../src/protocol/ed25519.js'
import type { ServerName } from '../../../src/protocol/ids.js'
import {
  createSigner,
  formatSigningKeys,
  makeSigningKey,
  parseOldVerifyKey,
  parseSigningKeys,
  SigningKeyError,
} from '../../../src/protocol/signing-keys.js'

const SEED = 'YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1'
const PUBLIC_KEY = 'XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI'
const OTHER_SEED = Buffer.alloc(32, 9).toString('base64').replace('=', '')

function errorOf(make: () => unknown): Error | undefined {
  try {
    make()
  } catch (error) {
    return error as Error
  }
  return undefined
}

describe('signing keys', () => {
  it('are read from a key file, the first being in use', async () => {
    const keys = parseSigningKeys(`ed25519 a_lPym ${SEED}\n\n  ed25519   auto\t${OTHER_SEED}= \r\n`)
    expect(keys.map(({ keyId, version }) => [keyId, version])).to.deep.equal([
      ['ed25519:a_lPym', 'a_lPym'],
      ['ed25519:auto', 'auto'],
    ])
    expect(keys[0]?.key.verifyKey.base64).to.equal(PUBLIC_KEY)
  })

  it('are read from the oldest key files', async () => {
    const [key] = parseSigningKeys(`${SEED}\n`)
    expect(key).to.include({ keyId: 'ed25519:auto', version: 'auto' })
    expect(key?.key.verifyKey.base64).to.equal(PUBLIC_KEY)
  })

  it('are written as they are read', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.stringMatching(/^[a-zA-Z0-9_]{1,8}$/), { minLength: 1, maxLength: 4 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (versions, seed) => {
          const keys = versions.map((version) => makeSigningKey(version, seed))
          const text = formatSigningKeys(keys)
          const read = parseSigningKeys(text)
          expect(formatSigningKeys(read)).to.equal(text)
          expect(read.map(({ keyId }) => keyId)).to.deep.equal(keys.map(({ keyId }) => keyId))
        },
      ),
      { numRuns: 20 },
    )
    const [key] = parseSigningKeys(`ed25519 1 ${SEED}`)
    // The last bits of the seed as the specification writes it belong to no byte.
    expect(formatSigningKeys([key!])).to.equal(`ed25519 1 ${SEED.slice(0, -1)}0\n`)
  })

  const malformed = {
    'nothing at all': '\n \n',
    'another algorithm': `rsa 1 ${SEED}`,
    'no seed': 'ed25519 1',
    'a short seed': `ed25519 1 ${SEED.slice(4)}`,
    'a long seed': `ed25519 1 ${SEED}AAAA`,
    'no Base64': `ed25519 1 ${SEED.slice(1)}!`,
    'a bad version': `ed25519 a-b ${SEED}`,
    'more than three fields': `ed25519 1 ${SEED} x`,
    'the same version twice': `ed25519 1 ${SEED}\ned25519 1 ${OTHER_SEED}`,
    'a good line and a bad one': `ed25519 1 ${SEED}\nnonsense here`,
  }
  for (const [what, text] of Object.entries(malformed)) {
    it(`are not read from a file with ${what}, and not quoted`, () => {
      const error = errorOf(() => parseSigningKeys(text))
      expect(error).to.be.instanceOf(SigningKeyError)
      expect(error?.message).not.to.contain(SEED.slice(4, 12))
    })
  }

  it('need a good version and a good seed', () => {
    expect(errorOf(() => makeSigningKey('a b', Buffer.alloc(32)))).to.be.instanceOf(SigningKeyError)
    expect(errorOf(() => makeSigningKey('', Buffer.alloc(32)))).to.be.instanceOf(SigningKeyError)
    expect(errorOf(() => makeSigningKey('a', Buffer.alloc(31)))).to.be.instanceOf(RangeError)
  })

  it('sign in the name of a server', async () => {
    const key = makeSigningKey('1', Buffer.from(SEED, 'base64'))
    const signer = createSigner('example.org' as ServerName, key)
    expect(signer).to.include({ serverName: 'example.org', keyId: 'ed25519:1' })
    expect(verifySignature(key.key.verifyKey, 'text', signer.sign('text'))).to.equal(true)
  })

  it('that are valid no more are read from the configuration', () => {
    const old = parseOldVerifyKey('ed25519:id', { key: PUBLIC_KEY, expiredTs: 5 })
    expect(old).to.include({ keyId: 'ed25519:id', expiredTs: 5 })
    expect(old.key.base64).to.equal(PUBLIC_KEY)
    for (const keyId of ['id', 'rsa:id', 'ed25519:', 'ed25519:a-b']) {
      expect(() => parseOldVerifyKey(keyId, { key: PUBLIC_KEY, expiredTs: 5 }), keyId).to.throw(
        SigningKeyError,
      )
    }
    for (const key of ['', 'x', PUBLIC_KEY.slice(4), 'A'.repeat(43)]) {
      expect(() => parseOldVerifyKey('ed25519:id', { key, expiredTs: 5 }), key).to.throw(SigningKeyError)
    }
  })
})
