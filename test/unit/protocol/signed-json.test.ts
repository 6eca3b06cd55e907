import { expect } from 'chai'
import { createSigningKey, signBytes, type Ed25519SigningKey } from '../../../src/protocol/ed25519.js'
import type { ServerName } from '../../../src/protocol/ids.js'
import {
  isSignedBy,
  signableText,
  signaturesOf,
  signJson,
  withSignature,
  type JsonSigner,
} from '../../../src/protocol/signed-json.js'

/** https://spec.matrix.org/latest/appendices/#cryptographic-test-vectors */
const SEED = Buffer.from('YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1', 'base64')
const KEY_ID = 'ed25519:1'
const domain = 'domain' as ServerName

describe('signed JSON', () => {
  let key: Ed25519SigningKey
  let signer: JsonSigner

  before(async () => {
    key = createSigningKey(SEED)
    signer = { serverName: domain, keyId: KEY_ID, sign: (message) => signBytes(key, message) }
  })

  it("signs the specification's empty object", () => {
    expect(signJson({}, signer)).to.deep.equal({
      signatures: {
        domain: {
          [KEY_ID]: 'K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ',
        },
      },
    })
  })

  it("signs the specification's object with values", () => {
    expect(signJson({ two: 'Two', one: 1 }, signer)).to.deep.equal({
      one: 1,
      two: 'Two',
      signatures: {
        domain: {
          [KEY_ID]: 'KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw',
        },
      },
    })
  })

  it('signs neither signatures nor what is unsigned', () => {
    expect(signableText({ b: 1, unsigned: { age: 1 }, signatures: { a: {} }, a: 2 })).to.equal(
      '{"a":2,"b":1}',
    )
  })

  it('leaves the object and the signatures of others alone', () => {
    const json = {
      one: 1,
      signatures: { other: { 'ed25519:x': 'sig' }, domain: { 'ed25519:0': 'old' } },
      unsigned: { age: 1 },
    }
    const before = structuredClone(json)
    const signed = signJson(json, signer)
    expect(json).to.deep.equal(before)
    expect(signed.unsigned).to.deep.equal({ age: 1 })
    expect(Object.keys(signed.signatures)).to.deep.equal(['other', 'domain'])
    expect(signed.signatures['other']).to.deep.equal({ 'ed25519:x': 'sig' })
    expect(Object.keys(signed.signatures['domain'])).to.deep.equal(['ed25519:0', KEY_ID])
  })

  it('replaces signatures that are malformed', () => {
    for (const signatures of [undefined, null, 'x', [], 3]) {
      expect(withSignature(signatures, signer, 'sig')).to.deep.equal({ domain: { [KEY_ID]: 'sig' } })
    }
    expect(withSignature({ domain: ['x'] }, signer, 'sig')).to.deep.equal({ domain: { [KEY_ID]: 'sig' } })
  })

  it('verifies what it signed, whoever else signed it', () => {
    const keys = new Map([[KEY_ID, key.verifyKey]])
    const signed = signJson({ one: 1, signatures: { other: { 'ed25519:1': 'nonsense' } } }, signer)
    expect(isSignedBy(signed, domain, keys)).to.equal(true)
    expect(isSignedBy({ ...signed, unsigned: { a: 1 } }, domain, keys)).to.equal(true)
    expect(isSignedBy({ ...signed, one: 2 }, domain, keys)).to.equal(false)
    expect(isSignedBy({ ...signed, two: 2 }, domain, keys)).to.equal(false)
    expect(isSignedBy(signed, 'other' as ServerName, keys)).to.equal(false)
    expect(isSignedBy(signed, domain, new Map([['ed25519:2', key.verifyKey]]))).to.equal(false)
    expect(isSignedBy({ one: 1 }, domain, keys)).to.equal(false)
  })

  it('does not take a wrong signature next to a right one, but ignores unknown keys', () => {
    const { signatures } = signJson({ one: 1 }, signer)
    const good = signatures['domain']![KEY_ID]!
    const keys = new Map([
      [KEY_ID, key.verifyKey],
      ['ed25519:2', key.verifyKey],
    ])
    const wrong = 'A'.repeat(86)
    expect(
      isSignedBy({ one: 1, signatures: { domain: { [KEY_ID]: good, 'ed25519:2': wrong } } }, domain, keys),
    ).to.equal(false)
    expect(
      isSignedBy({ one: 1, signatures: { domain: { [KEY_ID]: good, 'ed25519:3': wrong } } }, domain, keys),
    ).to.equal(true)
  })

  it('finds signatures of known algorithms only', () => {
    const signatures = { domain: { 'ed25519:1': 'a', 'rsa:1': 'b', 'ed25519:2': 3 }, odd: 'text' }
    expect([...signaturesOf({ signatures }, 'domain')]).to.deep.equal([['ed25519:1', 'a']])
    for (const json of [{}, { signatures: null }, { signatures: [] }, { signatures }]) {
      for (const name of ['odd', 'nobody', '__proto__', 'constructor', 'toString']) {
        expect(signaturesOf(json, name).size).to.equal(0)
      }
    }
  })
})
