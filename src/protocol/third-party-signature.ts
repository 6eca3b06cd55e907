import { isJsonObject, type JsonObject } from '../util/json.js'
import { parseVerifyKey, verifySignature } from './ed25519.js'
import { signableText, signaturesOf } from './signed-json.js'

/** Attempts at most: an event has room for enough keys and signatures to keep a server busy for minutes. */
const MAX_ATTEMPTS = 200

/**
 * Whether any signature of the `signed` part of a third-party invite, whoever made it, is valid by any of these public
 * keys (Base64). Identity servers sign with one key, and rooms list a few.
 * https://spec.matrix.org/latest/server-server-api/#verifying-the-invite
 */
export function hasValidSignature(signed: JsonObject, publicKeys: readonly string[]): boolean {
  const { signatures } = signed
  if (!isJsonObject(signatures)) return false
  const text = signableText(signed)
  const keys = publicKeys.slice(0, MAX_ATTEMPTS).flatMap((base64) => parseVerifyKey(base64) ?? [])
  let attempts = 0
  for (const server of Object.keys(signatures)) {
    for (const signature of signaturesOf(signed, server).values()) {
      for (const key of keys) {
        if (++attempts > MAX_ATTEMPTS) return false
        if (verifySignature(key, text, signature)) return true
      }
    }
  }
  return false
}
