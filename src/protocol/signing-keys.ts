import { decodeBase64, encodeBase64 } from '../util/base64.js'
import {
  createSigningKey,
  parseVerifyKey,
  signBytes,
  type Ed25519SigningKey,
  type Ed25519VerifyKey,
} from './ed25519.js'
import type { ServerName } from './ids.js'
import type { JsonSigner } from './signed-json.js'

/** A key with which a server signs. */
export interface SigningKey {
  /** `ed25519:` and the version. */
  readonly keyId: string
  /** The name of the key among those of its server: letters, digits and `_`. */
  readonly version: string
  readonly key: Ed25519SigningKey
}

/** A key with which a server signed once: published so that its old events can be verified. */
export interface OldVerifyKey {
  readonly keyId: string
  readonly key: Ed25519VerifyKey
  /** When it stopped being valid, in milliseconds since the epoch. */
  readonly expiredTs: number
}

/** A key file that cannot be used. The message says where and why, and never quotes a key. */
export class SigningKeyError extends Error {
  override readonly name = 'SigningKeyError'
}

const VERSION = /^[a-zA-Z0-9_]+$/
const SEED_BYTES = 32

/** Makes a key of 32 random bytes. Throws a `SigningKeyError` for a bad version. */
export function makeSigningKey(version: string, seed: Uint8Array): SigningKey {
  if (!VERSION.test(version))
    throw new SigningKeyError('The version of a signing key is letters, digits and _')
  return { version, keyId: `ed25519:${version}`, key: createSigningKey(seed) }
}

/**
 * Reads a key file: lines of `ed25519 VERSION SEED`, the seed in Base64; the first is the one to sign with. The oldest
 * files have nothing but a seed, whose version is `auto`. Throws a `SigningKeyError` when there is no key, a line is
 * malformed, or two have the same version.
 */
export function parseSigningKeys(text: string): SigningKey[] {
  const keys: SigningKey[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const fields = line.trim().split(/\s+/)
    if (fields[0] === '') continue
    const key = parseFields(fields)
    if (key === undefined) throw new SigningKeyError(`Line ${index + 1} of the signing key is malformed`)
    if (keys.some(({ version }) => version === key.version)) {
      throw new SigningKeyError(`Line ${index + 1} of the signing key repeats the version ${key.version}`)
    }
    keys.push(key)
  }
  if (keys.length === 0) throw new SigningKeyError('There is no signing key')
  return keys
}

function parseFields(fields: readonly string[]): SigningKey | undefined {
  const [algorithm, version, encoded, ...more] = fields.length === 1 ? ['ed25519', 'auto', ...fields] : fields
  if (algorithm !== 'ed25519' || version === undefined || encoded === undefined) return undefined
  const seed = decodeBase64(encoded)
  if (more.length > 0 || !VERSION.test(version) || seed?.length !== SEED_BYTES) return undefined
  return makeSigningKey(version, seed)
}

/** The text of a key file with these keys, one a line. */
export function formatSigningKeys(keys: readonly SigningKey[]): string {
  return keys.map(({ version, key }) => `ed25519 ${version} ${encodeBase64(key.seed)}\n`).join('')
}

/**
 * A key that is valid no more, as the configuration lists it. Throws a `SigningKeyError` for another algorithm and for
 * what is no public key.
 */
export function parseOldVerifyKey(
  keyId: string,
  { key: encoded, expiredTs }: { readonly key: string; readonly expiredTs: number },
): OldVerifyKey {
  const version = keyId.startsWith('ed25519:') ? keyId.slice('ed25519:'.length) : ''
  if (!VERSION.test(version)) throw new SigningKeyError(`The key ID ${keyId} is not ed25519:VERSION`)
  const key = parseVerifyKey(encoded)
  if (key === undefined) throw new SigningKeyError(`${keyId} is not a public key`)
  return { keyId, key, expiredTs }
}

/** Signs with a key in the name of a server. */
export function createSigner(serverName: ServerName, { key, keyId }: SigningKey): JsonSigner {
  return { serverName, keyId, sign: (message) => signBytes(key, message) }
}
