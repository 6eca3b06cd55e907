import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { canonicalJson } from './canonical-json.js'
import { parseVerifyKey, verifySignatureInBackground } from './ed25519.js'
import { badJson, invalidParam, tooLarge } from './errors.js'
import { fitsBytes, type DeviceId, type UserId } from './ids.js'
import { signableText, signaturesOf } from './signed-json.js'

/** A device of a user's. */
export interface DeviceAddress {
  readonly userId: UserId
  readonly deviceId: DeviceId
}

/** A key to be used by one other device, or a fallback key. */
export interface OneTimeKey {
  /** `signed_curve25519` for example. */
  readonly algorithm: string
  readonly keyId: string
  /** A text in Base64, or an object `{key, signatures}`. */
  readonly key: string | JsonObject
}

const MAX_DEVICE_KEYS_BYTES = 50_000
const MAX_ONE_TIME_KEY_BYTES = 10_000
const MAX_NAME_BYTES = 255

/**
 * Checks the form of a device's identity keys and gives them without `unsigned`. Throws `M_BAD_JSON` for what is missing
 * or of a wrong type, `M_INVALID_PARAM` for keys of somebody else, `M_TOO_LARGE`.
 * https://spec.matrix.org/latest/client-server-api/#device-keys
 */
export function parseDeviceKeys(keys: JsonObject, { userId, deviceId }: DeviceAddress): JsonObject {
  const { unsigned: _unsigned, ...signed } = keys
  const { algorithms } = signed
  if (!Array.isArray(algorithms) || !algorithms.every((name) => typeof name === 'string')) {
    throw badJson('device_keys.algorithms must be a list of names')
  }
  if (!isTextByName(signed['keys'])) throw badJson('device_keys.keys must be an object of texts')
  const { signatures } = signed
  if (!isJsonObject(signatures) || !Object.values(signatures).every(isTextByName)) {
    throw badJson('device_keys.signatures must be an object of signatures by user')
  }
  if (typeof signed['user_id'] !== 'string') throw badJson('device_keys.user_id must be a text')
  if (typeof signed['device_id'] !== 'string') throw badJson('device_keys.device_id must be a text')
  if (signed['user_id'] !== userId) throw invalidParam('The device keys are those of another user')
  if (signed['device_id'] !== deviceId) throw invalidParam('The device keys are those of another device')
  if (!fitsBytes(canonicalJson(signed), MAX_DEVICE_KEYS_BYTES))
    throw tooLarge('The device keys are too large')
  return signed
}

/** A device's public key, in Base64 as it was uploaded. */
export function identityKeyOf(
  keys: JsonObject,
  algorithm: 'ed25519' | 'curve25519',
  deviceId: string,
): string | undefined {
  const byName = keys['keys']
  const name = `${algorithm}:${deviceId}`
  const key = isJsonObject(byName) && Object.hasOwn(byName, name) ? byName[name] : undefined
  return typeof key === 'string' ? key : undefined
}

/**
 * One-time keys, or fallback keys, by `<algorithm>:<key ID>`. Throws `M_BAD_JSON` for what is no key, `M_INVALID_PARAM`
 * for what is no such name, `M_TOO_LARGE`.
 * https://spec.matrix.org/latest/client-server-api/#one-time-and-fallback-keys
 */
export function parseOneTimeKeys(keys: JsonObject): OneTimeKey[] {
  return Object.entries(keys).map(([name, key]) => {
    const colon = name.indexOf(':')
    const isName = colon > 0 && colon < name.length - 1 && fitsBytes(name, MAX_NAME_BYTES)
    if (!isName) throw invalidParam('The name of a key is an algorithm and an ID')
    if (!isOneTimeKey(key)) throw badJson(`${name} is no key`)
    if (!fitsBytes(JSON.stringify(key), MAX_ONE_TIME_KEY_BYTES)) throw tooLarge(`${name} is too large`)
    return { algorithm: name.slice(0, colon), keyId: name.slice(colon + 1), key }
  })
}

/** Whether two are the same key; each attempt to upload it may have signed it anew. */
export function isSameKey(a: string | JsonObject, b: string | JsonObject): boolean {
  if (typeof a === 'string' || typeof b === 'string') return a === b
  return signableText(a) === signableText(b)
}

/** A key of a user's with which objects may be signed; `key` is the public key in Base64. */
export interface KeySigner {
  readonly userId: string
  readonly keyId: string
  readonly key: string
}

/** `absent`: the object has no signature by a key of that name. */
export type SignatureVerdict = 'absent' | 'valid' | 'invalid'

/** What a signature by a key of a user's is worth. */
export async function checkSignature(json: JsonObject, signer: KeySigner): Promise<SignatureVerdict> {
  const [verdict] = await checkSignatures([json], signer)
  return verdict ?? 'absent'
}

/** As `checkSignature`, for each of several objects, in order. */
export async function checkSignatures(
  objects: readonly JsonObject[],
  { userId, keyId, key }: KeySigner,
): Promise<SignatureVerdict[]> {
  // Made once for all: that costs more than a signature.
  const verifyKey = parseVerifyKey(key)
  return Promise.all(
    objects.map(async (json) => {
      const signature = signaturesOf(json, userId).get(keyId)
      if (signature === undefined) return 'absent'
      if (verifyKey === undefined) return 'invalid'
      const valid = await verifySignatureInBackground(verifyKey, signableText(json), signature)
      return valid ? 'valid' : 'invalid'
    }),
  )
}

function isOneTimeKey(key: JsonValue): key is string | JsonObject {
  if (typeof key === 'string') return true
  if (!isJsonObject(key) || typeof key['key'] !== 'string') return false
  const { signatures } = key
  return (
    signatures === undefined || (isJsonObject(signatures) && Object.values(signatures).every(isTextByName))
  )
}

function isTextByName(value: JsonValue | undefined): boolean {
  return isJsonObject(value) && Object.values(value).every((text) => typeof text === 'string')
}
