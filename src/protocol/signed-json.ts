import { isJsonObject, type JsonObject } from '../util/json.js'
import { canonicalJson } from './canonical-json.js'
import { verifySignature, type Ed25519VerifyKey } from './ed25519.js'
import type { ServerName } from './ids.js'

/** Signs in the name of a server. */
export interface JsonSigner {
  readonly serverName: ServerName
  /** `ed25519:` and the key's version. */
  readonly keyId: string
  /** The signature of bytes, or of the UTF-8 of a text, in unpadded Base64. */
  sign(message: Uint8Array | string): string
}

/** `signatures` of a signed object: by server, by key ID. */
export type Signatures = Record<string, Record<string, string>>

/** The text of which the signatures of an object are: all but `signatures` and `unsigned`. */
export function signableText(json: JsonObject): string {
  const { signatures: _signatures, unsigned: _unsigned, ...signed } = json
  return canonicalJson(signed)
}

/**
 * The object with the signer's signature next to those that it has.
 * https://spec.matrix.org/latest/appendices/#signing-details
 */
export function signJson<T extends JsonObject>(json: T, signer: JsonSigner): T & { signatures: Signatures } {
  const signature = signer.sign(signableText(json))
  return { ...json, signatures: withSignature(json['signatures'], signer, signature) }
}

/** Signatures of an object with one more. What is no object of objects is lost. */
export function withSignature(signatures: unknown, signer: JsonSigner, signature: string): Signatures {
  const others = isJsonObject(signatures) ? (signatures as Signatures) : {}
  const own: unknown = Object.hasOwn(others, signer.serverName) ? others[signer.serverName] : undefined
  return {
    ...others,
    [signer.serverName]: {
      ...(isJsonObject(own) ? (own as Record<string, string>) : {}),
      [signer.keyId]: signature,
    },
  }
}

/**
 * A server's signatures that this server has an algorithm for, by key ID. Empty when there are none.
 * https://spec.matrix.org/latest/appendices/#checking-for-a-signature
 */
export function signaturesOf(
  json: { readonly signatures?: unknown },
  serverName: string,
): Map<string, string> {
  const found = new Map<string, string>()
  const { signatures } = json
  if (!isJsonObject(signatures) || !Object.hasOwn(signatures, serverName)) return found
  const own = signatures[serverName]
  if (!isJsonObject(own)) return found
  for (const [keyId, signature] of Object.entries(own)) {
    if (keyId.startsWith('ed25519:') && typeof signature === 'string') found.set(keyId, signature)
  }
  return found
}

/**
 * Whether a server has signed an object with one of these keys (by key ID), and none of its signatures by them is wrong.
 * Signatures by other keys count for nothing.
 */
export function isSignedBy(
  json: JsonObject,
  serverName: ServerName,
  keys: ReadonlyMap<string, Ed25519VerifyKey>,
): boolean {
  let text: string | undefined
  let known = 0
  for (const [keyId, signature] of signaturesOf(json, serverName)) {
    const key = keys.get(keyId)
    if (key === undefined) continue
    text ??= signableText(json)
    if (!verifySignature(key, text, signature)) return false
    known += 1
  }
  return known > 0
}
