import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto'
import { decodeBase64, encodeBase64 } from '../util/base64.js'

/** A private key of Ed25519, ready to sign. */
export interface Ed25519SigningKey {
  /** 32 bytes: the private key as key files keep it. */
  readonly seed: Uint8Array
  readonly verifyKey: Ed25519VerifyKey
  readonly keyObject: KeyObject
}

/** A public key of Ed25519. Making one costs more than using it: keep it. */
export interface Ed25519VerifyKey {
  /** 32 bytes in unpadded Base64: the key as it is published. */
  readonly base64: string
  readonly keyObject: KeyObject
}

const SEED_BYTES = 32
const KEY_BYTES = 32
const SIGNATURE_BYTES = 64
/** What comes before the key's bytes in DER. https://www.rfc-editor.org/rfc/rfc8410 */
const PRIVATE_KEY_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const PUBLIC_KEY_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/**
 * The y coordinates of the points of order 1, 2, 4 and 8 in all their encodings, with the sign bit clear. OpenSSL takes
 * them for keys and for the first half of signatures, libsodium does not; all servers must agree on what is signed.
 */
const SMALL_ORDER_POINTS: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
])

/** The key pair of a 32-byte seed. Throws a RangeError for other lengths. */
export function createSigningKey(seed: Uint8Array): Ed25519SigningKey {
  if (seed.length !== SEED_BYTES) throw new RangeError(`A signing key's seed has ${SEED_BYTES} bytes`)
  const keyObject = createPrivateKey({
    key: Buffer.concat([PRIVATE_KEY_PREFIX, seed]),
    format: 'der',
    type: 'pkcs8',
  })
  const published = createPublicKey(keyObject).export({ format: 'der', type: 'spki' })
  return { seed, keyObject, verifyKey: verifyKeyOf(published.subarray(PUBLIC_KEY_PREFIX.length)) }
}

/** A public key in Base64, with or without padding; undefined when it is none that may be trusted. */
export function parseVerifyKey(base64: string): Ed25519VerifyKey | undefined {
  const bytes = decodeBase64(base64)
  if (bytes?.length !== KEY_BYTES || hasSmallOrder(bytes) || !isReducedKey(bytes)) return undefined
  return verifyKeyOf(bytes)
}

/** Signs bytes, or the UTF-8 of a text. The result is unpadded Base64. */
export function signBytes(key: Ed25519SigningKey, message: Uint8Array | string): string {
  return encodeBase64(sign(null, toBytes(message), key.keyObject))
}

/** Whether the signature, in Base64 with or without padding, is the key's of these bytes or of the text's UTF-8. */
export function verifySignature(
  key: Ed25519VerifyKey,
  message: Uint8Array | string,
  signature: string,
): boolean {
  const bytes = parseSignature(signature)
  return bytes !== undefined && verify(null, toBytes(message), key.keyObject, bytes)
}

/** Like `verifySignature`, on a thread of the pool: for many at a time. */
export function verifySignatureInBackground(
  key: Ed25519VerifyKey,
  message: Uint8Array | string,
  signature: string,
): Promise<boolean> {
  const bytes = parseSignature(signature)
  if (bytes === undefined) return Promise.resolve(false)
  return new Promise((resolve, reject) => {
    verify(null, toBytes(message), key.keyObject, bytes, (error, valid) => {
      if (error) reject(error)
      else resolve(valid)
    })
  })
}

function parseSignature(base64: string): Buffer | undefined {
  const bytes = decodeBase64(base64)
  return bytes?.length === SIGNATURE_BYTES && !hasSmallOrder(bytes) ? bytes : undefined
}

function verifyKeyOf(bytes: Uint8Array): Ed25519VerifyKey {
  const keyObject = createPublicKey({
    key: Buffer.concat([PUBLIC_KEY_PREFIX, bytes]),
    format: 'der',
    type: 'spki',
  })
  return { base64: encodeBase64(bytes), keyObject }
}

/** Of the point whose encoding the first 32 bytes are. */
function hasSmallOrder(bytes: Buffer): boolean {
  const y = Buffer.from(bytes.subarray(0, KEY_BYTES))
  y[KEY_BYTES - 1]! &= 0x7f
  return SMALL_ORDER_POINTS.has(y.toString('hex'))
}

/** Whether the y coordinate is below 2^255 − 19, as that of every honest key is. */
function isReducedKey(bytes: Buffer): boolean {
  if ((bytes[KEY_BYTES - 1]! & 0x7f) !== 0x7f) return true
  for (let index = KEY_BYTES - 2; index > 0; index--) if (bytes[index] !== 0xff) return true
  return bytes[0]! < 0xed
}

function toBytes(message: Uint8Array | string): Uint8Array {
  return typeof message === 'string' ? Buffer.from(message) : message
}
