import { expect } from 'chai'
import fc from 'fast-check'
import sodium from 'libsodium-wrappers'
import {
  createSigningKey,
  parseVerifyKey,
  signBytes,
  verifySignature,
  verifySignatureInBackground,
  type Ed25519SigningKey,
} from '../../../src/protocol/ed25519.js'

const SEED = Buffer.from('YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1', 'base64')
const P = 2n ** 255n - 19n

/** The bytes of a field element or of a number of 256 bits. */
function encode(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse()
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let rest = exponent, factor = base % P; rest > 0n; rest >>= 1n, factor = (factor * factor) % P) {
    if (rest & 1n) result = (result * factor) % P
  }
  return result
}

/** The y coordinates of all points whose order divides 8. */
function smallOrderYs(): bigint[] {
  const d = ((P - 121665n) * power(121666n, P - 2n)) % P
  // The double of a point of order 8 has y = 0, that is y² = −x²: on the curve, d·y⁴ + 2·y² − 1 = 0.
  const root = squareRoot((1n + d) % P)!
  const inverse = power(d, P - 2n)
  const candidates = [(root + P - 1n) % P, (P - root + P - 1n) % P].map((value) => (value * inverse) % P)
  const eighths = candidates.flatMap((square) => {
    const y = squareRoot(square)
    return y === undefined ? [] : [y, P - y]
  })
  return [0n, 1n, P - 1n, ...eighths]
}

function squareRoot(value: bigint): bigint | undefined {
  const candidate = power(value, (P + 3n) / 8n)
  for (const root of [candidate, (candidate * power(2n, (P - 1n) / 4n)) % P]) {
    if ((root * root) % P === value % P) return root
  }
  return undefined
}

describe('Ed25519', () => {
  let key: Ed25519SigningKey
  before(async () => {
    await sodium.ready
    key = createSigningKey(SEED)
  })

  it('makes the key pair of a seed', () => {
    expect(key.verifyKey.base64).to.equal('XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI')
    expect(Buffer.from(key.seed).equals(SEED)).to.equal(true)
    for (const length of [0, 31, 33, 64]) {
      expect(() => createSigningKey(new Uint8Array(length))).to.throw(RangeError)
    }
  })

  it('signs and verifies as libsodium does', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array(),
        async (seed, message) => {
          const own = createSigningKey(seed)
          const theirs = sodium.crypto_sign_seed_keypair(seed)
          const signature = signBytes(own, message)
          expect(Buffer.from(signature, 'base64')).to.deep.equal(
            Buffer.from(sodium.crypto_sign_detached(message, theirs.privateKey)),
          )
          const verifyKey = parseVerifyKey(own.verifyKey.base64)!
          expect(verifyKey.base64).to.equal(Buffer.from(theirs.publicKey).toString('base64').replace('=', ''))
          expect(verifySignature(verifyKey, message, signature)).to.equal(true)
          expect(verifySignature(verifyKey, Buffer.concat([message, Buffer.of(0)]), signature)).to.equal(
            false,
          )
          expect(verifySignature(key.verifyKey, message, signature)).to.equal(false)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('signs the UTF-8 of a text', () => {
    const signature = signBytes(key, 'größer 😀')
    expect(signature).to.match(/^[A-Za-z0-9+/]{86}$/)
    expect(verifySignature(key.verifyKey, Buffer.from('größer 😀'), signature)).to.equal(true)
  })

  it('verifies in the background too', async () => {
    const signature = signBytes(key, 'text')
    expect(await verifySignatureInBackground(key.verifyKey, 'text', signature)).to.equal(true)
    expect(await verifySignatureInBackground(key.verifyKey, 'other', signature)).to.equal(false)
    expect(await verifySignatureInBackground(key.verifyKey, 'text', 'nonsense')).to.equal(false)
  })

  it('takes a signature with padding', () => {
    expect(verifySignature(key.verifyKey, 'text', `${signBytes(key, 'text')}==`)).to.equal(true)
  })

  it('does not take what is no signature', () => {
    const signature = signBytes(key, 'text')
    for (const bad of ['', 'A', '!', `${signature} `, signature.slice(1), `${signature}AA`, 'A'.repeat(86)]) {
      expect(verifySignature(key.verifyKey, 'text', bad), bad).to.equal(false)
    }
  })

  it('does not take what is no public key', () => {
    const good = key.verifyKey.base64
    expect(parseVerifyKey(`${good}=`)?.base64).to.equal(good)
    for (const bad of ['', 'A', good.slice(4), `${good}A`, `${good} `, `!${good.slice(1)}`]) {
      expect(parseVerifyKey(bad), bad).to.equal(undefined)
    }
  })

  it('takes a key on no point of the curve for one that verifies nothing', () => {
    // y = 2 is no point's.
    const stray = parseVerifyKey(encode(2n).toString('base64'))!
    expect(verifySignature(stray, 'text', signBytes(key, 'text'))).to.equal(false)
  })

  it('refuses keys and signatures of small order and unreduced keys, like libsodium', () => {
    const ys = smallOrderYs()
    expect(ys).to.have.length(5)
    const encodings = ys.flatMap((y) => [y, ...(y + P < 2n ** 255n ? [y + P] : [])])
    const withSigns = encodings.flatMap((y) => [encode(y), encode(y + 2n ** 255n)])
    for (const bytes of withSigns) {
      expect(parseVerifyKey(bytes.toString('base64')), bytes.toString('hex')).to.equal(undefined)
      const signature = Buffer.concat([bytes, Buffer.alloc(32)])
      expect(
        sodium.crypto_sign_verify_detached(signature, 'text', Buffer.from(key.verifyKey.base64, 'base64')),
      ).to.equal(false)
      expect(verifySignature(key.verifyKey, 'text', signature.toString('base64'))).to.equal(false)
    }
    for (let y = P; y < 2n ** 255n; y++)
      expect(parseVerifyKey(encode(y).toString('base64'))).to.equal(undefined)
    expect(parseVerifyKey(encode(P - 2n).toString('base64'))).not.to.equal(undefined)
  })

  it('refuses a signature of small order, which OpenSSL takes in some versions', () => {
    // With R the neutral point and s = h·a, the equation s·B = R + h·A holds for any message: h must only be known.
    const L = 2n ** 252n + 27742317777372353535851937790883648493n
    const secret = sodium.crypto_hash(SEED).slice(0, 32)
    secret[0]! &= 248
    secret[31] = (secret[31]! & 127) | 64
    const number = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
    const R = encode(1n)
    const A = Buffer.from(key.verifyKey.base64, 'base64')
    const h = number(sodium.crypto_hash(Buffer.concat([R, A, Buffer.from('text')]))) % L
    const signature = Buffer.concat([R, encode((h * number(secret)) % L)])
    expect(sodium.crypto_sign_verify_detached(signature, 'text', A)).to.equal(false)
    expect(verifySignature(key.verifyKey, 'text', signature.toString('base64'))).to.equal(false)
  })
})
