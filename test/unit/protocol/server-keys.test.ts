import { expect } from 'chai'
import type { ServerName } from '../../../src/protocol/ids.js'
import { isKeyValidAt, makeServerKeys, readServerKeys } from '../../../src/protocol/server-keys.js'
import { signJson } from '../../../src/protocol/signed-json.js'
import { createSigner, makeSigningKey, type SigningKey } from '../../../src/protocol/signing-keys.js'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'

const A = 'a.test' as ServerName
const TS = 1_700_000_000_000

describe('the keys of a server', () => {
  let key: SigningKey
  let other: SigningKey
  before(async () => {
    key = makeSigningKey('one', Buffer.alloc(32, 1))
    other = makeSigningKey('two', Buffer.alloc(32, 2))
  })

  function make(changes: Readonly<Record<string, JsonValue>> = {}): JsonObject {
    const old = [{ keyId: other.keyId, key: other.key.verifyKey, expiredTs: TS - 5 }]
    const { signatures: _, ...document } = makeServerKeys(A, { current: [key], old }, TS)
    return signJson({ ...document, ...changes }, createSigner(A, key))
  }

  it('are read as they are made', () => {
    const document = readServerKeys(make(), A)
    if ('problem' in document) throw new Error(document.problem)
    expect(document.serverName).to.equal(A)
    expect(document.validUntilTs).to.equal(TS)
    expect(
      document.keys.map(({ keyId, key: { base64 }, validUntilTs, isOld }) => [
        keyId,
        base64,
        validUntilTs,
        isOld,
      ]),
    ).to.deep.equal([
      [key.keyId, key.key.verifyKey.base64, TS, false],
      [other.keyId, other.key.verifyKey.base64, TS - 5, true],
    ])
  })

  it('are signed by all that are used', () => {
    const document = makeServerKeys(A, { current: [key, other], old: [] }, TS)
    expect(Object.keys((document['signatures'] as JsonObject)[A] as JsonObject)).to.deep.equal([
      key.keyId,
      other.keyId,
    ])
    expect(readServerKeys(document, A)).to.not.have.property('problem')
  })

  it('may lack those of the past', () => {
    const { old_verify_keys: _old, signatures: _signatures, ...rest } = make()
    expect(readServerKeys(signJson(rest, createSigner(A, key)), A)).to.not.have.property('problem')
  })

  it('leave out what cannot be used', () => {
    const verifyKeys = {
      [key.keyId]: { key: key.key.verifyKey.base64 },
      'rsa:x': { key: 'x' },
      'ed25519:short': { key: 'AAAA' },
      'ed25519:none': {},
      'ed25519:null': null,
      'ed25519:\0': { key: key.key.verifyKey.base64 },
      [`ed25519:${'x'.repeat(300)}`]: { key: key.key.verifyKey.base64 },
    }
    const document = readServerKeys(make({ verify_keys: verifyKeys, old_verify_keys: {} }), A)
    if ('problem' in document) throw new Error(document.problem)
    expect(document.keys.map(({ keyId }) => keyId)).to.deep.equal([key.keyId])
  })

  const many = (): JsonObject =>
    Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`ed25519:${index}`, { key: 'A' }]))

  for (const [what, json] of Object.entries<() => JsonValue>({
    'no object': () => [],
    'those of another server': () => make({ server_name: 'b.test' }),
    'no time': () => make({ valid_until_ts: 'tomorrow' }),
    'a time that is no integer': () => ({ ...make(), valid_until_ts: 1.5 }),
    'no keys': () => make({ verify_keys: {} }),
    'keys that are no object': () => make({ verify_keys: [] }),
    'too many keys': () => make({ verify_keys: many() }),
    'old keys that are no object': () => make({ old_verify_keys: 1 }),
    'a change after signing': () => ({ ...make(), valid_until_ts: TS + 1 }),
    'no signature': () => ({ ...make(), signatures: {} }),
    'signatures of another key alone': () => signJson({ ...make(), signatures: {} }, createSigner(A, other)),
    'a signature of another server': () => {
      const signer = createSigner('b.test' as ServerName, key)
      return signJson({ ...make(), signatures: {} }, signer)
    },
  })) {
    it(`are not believed: ${what}`, () => expect(readServerKeys(json(), A)).to.have.property('problem'))
  }
})

describe('isKeyValidAt', () => {
  const DAY_MS = 24 * 60 * 60_000

  it('is for the time that the server says, and a week from now at most', () => {
    expect(isKeyValidAt(TS, TS, TS)).to.be.true
    expect(isKeyValidAt(TS, TS + 1, TS)).to.be.false
    expect(isKeyValidAt(Infinity, TS + 7 * DAY_MS, TS)).to.be.true
    expect(isKeyValidAt(Infinity, TS + 7 * DAY_MS + 1, TS)).to.be.false
    expect(isKeyValidAt(TS, 0, TS + 100 * DAY_MS)).to.be.true
  })
})
