import { isJsonObject, type JsonObject } from '../util/json.js'
import { canonicalJson } from './canonical-json.js'
import { parseVerifyKey } from './ed25519.js'
import { badJson, invalidParam, tooLarge } from './errors.js'
import { fitsBytes, type UserId } from './ids.js'

/** What a cross-signing key is for. */
export const CROSS_SIGNING_USAGES = ['master', 'self_signing', 'user_signing'] as const

export type CrossSigningUsage = (typeof CROSS_SIGNING_USAGES)[number]

/** A public key that signs other keys. */
export interface CrossSigningKey {
  readonly usage: CrossSigningUsage
  /** Unpadded Base64: the key's ID after `ed25519:`. */
  readonly publicKey: string
  /** As it was uploaded, without `unsigned`. */
  readonly json: JsonObject
}

const MAX_BYTES = 50_000
const ALGORITHM = 'ed25519:'

/**
 * Checks the form of a cross-signing key of a user's. Throws `M_BAD_JSON` for wrong types, `M_INVALID_PARAM` for another
 * user, usage or number of keys and for what is no Ed25519 key, `M_TOO_LARGE`.
 * https://spec.matrix.org/latest/client-server-api/#key-and-signature-security
 */
export function parseCrossSigningKey(
  key: JsonObject,
  usage: CrossSigningUsage,
  userId: UserId,
): CrossSigningKey {
  const { unsigned: _unsigned, ...json } = key
  const { usage: usages, keys, signatures } = json
  if (typeof json['user_id'] !== 'string') throw badJson('The user_id of a cross-signing key must be a text')
  if (!Array.isArray(usages)) throw badJson('The usage of a cross-signing key must be a list')
  if (!isJsonObject(keys)) throw badJson('The keys of a cross-signing key must be an object')
  if (signatures !== undefined && !isSignatures(signatures)) {
    throw badJson('The signatures of a cross-signing key must be an object of signatures by user')
  }
  if (json['user_id'] !== userId) throw invalidParam('The cross-signing key is that of another user')
  if (!usages.includes(usage)) throw invalidParam(`The key is not to be used as ${usage} key`)
  if (!fitsBytes(canonicalJson(json), MAX_BYTES)) throw tooLarge('The cross-signing key is too large')
  return { usage, publicKey: onlyKeyOf(keys), json }
}

function onlyKeyOf(keys: JsonObject): string {
  const entries = Object.entries(keys)
  const [entry] = entries
  if (entry === undefined || entries.length > 1) throw invalidParam('A cross-signing key is exactly one key')
  const [name, publicKey] = entry
  if (typeof publicKey !== 'string') throw badJson('A cross-signing key must be a text')
  if (name !== ALGORITHM + publicKey || parseVerifyKey(publicKey) === undefined) {
    throw invalidParam('A cross-signing key is an Ed25519 key, named by itself')
  }
  return publicKey
}

function isSignatures(value: unknown): boolean {
  return (
    isJsonObject(value) &&
    Object.values(value).every(
      (byKey) => isJsonObject(byKey) && Object.values(byKey).every((text) => typeof text === 'string'),
    )
  )
}
