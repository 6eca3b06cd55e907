import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { canonicalJson, isStrictJson } from './canonical-json.js'
import { parseVerifyKey, type Ed25519VerifyKey } from './ed25519.js'
import { fitsBytes, type ServerName } from './ids.js'
import { isSignedBy, signJson, type JsonSigner } from './signed-json.js'
import { createSigner, type OldVerifyKey, type SigningKey } from './signing-keys.js'

/** A key of a server, as the server itself has published it. */
export interface PublishedKey {
  /** `ed25519:` and the version. */
  readonly keyId: string
  readonly key: Ed25519VerifyKey
  /** For keys that are used no more: when they stopped being valid. */
  readonly validUntilTs: number
  readonly isOld: boolean
}

/** What a server has signed of its keys, read and verified. */
export interface ServerKeyDocument {
  readonly serverName: ServerName
  readonly validUntilTs: number
  readonly keys: readonly PublishedKey[]
  /** As it came. */
  readonly json: JsonObject
}

const KEY_ID = /^ed25519:[\x21-\x7e]+$/
const MAX_KEY_ID_BYTES = 255
/** Nobody changes keys so often. */
const MAX_KEYS = 100

/**
 * Reads what a server publishes of its keys. Gives the reason why it cannot be used: it is malformed, another server's,
 * or not signed by a key that it names. Keys of other algorithms are left out.
 * https://spec.matrix.org/latest/server-server-api/#publishing-keys
 */
export function readServerKeys(
  json: JsonValue | undefined,
  serverName: ServerName,
): ServerKeyDocument | { readonly problem: string } {
  if (!isJsonObject(json)) return { problem: 'its keys are no JSON object' }
  if (json['server_name'] !== serverName) return { problem: 'the keys are those of another server' }
  const validUntilTs = json['valid_until_ts']
  if (!isTimestamp(validUntilTs)) return { problem: 'valid_until_ts is no time' }
  if (!isStrictJson(json)) return { problem: 'the keys have numbers that cannot be signed' }
  const current = readKeys(json['verify_keys'], () => validUntilTs)
  const old = readKeys(json['old_verify_keys'] ?? {}, (key) => key['expired_ts'])
  if (current === undefined || old === undefined) return { problem: 'the keys are malformed' }
  if (current.size === 0) return { problem: 'there is no key of Ed25519' }
  const verifyKeys = new Map([...current].map(([keyId, { key }]) => [keyId, key]))
  if (!isSignedBy(json, serverName, verifyKeys)) return { problem: 'the keys are not signed by themselves' }
  const keys = [
    ...[...current.values()].map((key) => ({ ...key, isOld: false })),
    ...[...old.values()].filter(({ keyId }) => !current.has(keyId)).map((key) => ({ ...key, isOld: true })),
  ]
  return { serverName, validUntilTs, keys, json }
}

type KeyEntry = Omit<PublishedKey, 'isOld'>

/** By key ID; undefined where the map is none or too large. What cannot be used is left out. */
function readKeys(
  map: JsonValue | undefined,
  validUntil: (key: JsonObject) => JsonValue | undefined,
): Map<string, KeyEntry> | undefined {
  if (!isJsonObject(map) || Object.keys(map).length > MAX_KEYS) return undefined
  const keys = new Map<string, KeyEntry>()
  for (const [keyId, entry] of Object.entries(map)) {
    if (!isJsonObject(entry) || !KEY_ID.test(keyId) || !fitsBytes(keyId, MAX_KEY_ID_BYTES)) continue
    const { key: encoded } = entry
    const key = typeof encoded === 'string' ? parseVerifyKey(encoded) : undefined
    const validUntilTs = validUntil(entry)
    if (key !== undefined && isTimestamp(validUntilTs)) keys.set(keyId, { keyId, key, validUntilTs })
  }
  return keys
}

function isTimestamp(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

/** What this server publishes of its own keys, signed by all that it uses. */
export function makeServerKeys(
  serverName: ServerName,
  { current, old }: { readonly current: readonly SigningKey[]; readonly old: readonly OldVerifyKey[] },
  validUntilTs: number,
): JsonObject {
  const document: JsonObject = {
    server_name: serverName,
    valid_until_ts: validUntilTs,
    verify_keys: Object.fromEntries(current.map(({ keyId, key }) => [keyId, { key: key.verifyKey.base64 }])),
    old_verify_keys: Object.fromEntries(
      old.map(({ keyId, key, expiredTs }) => [keyId, { key: key.base64, expired_ts: expiredTs }]),
    ),
  }
  const signers: JsonSigner[] = current.map((key) => createSigner(serverName, key))
  return signers.reduce<JsonObject>((signed, signer) => signJson(signed, signer), document)
}

/** The text in which a document is kept. */
export function serverKeysText(document: ServerKeyDocument): string {
  return canonicalJson(document.json)
}

/** However long a server says that its keys are valid: nobody may rely on them for longer. */
const MAX_KEY_VALIDITY_MS = 7 * 24 * 60 * 60_000

/**
 * Whether a key was valid at a time. `now` bounds what a server may say of the future.
 * https://spec.matrix.org/latest/rooms/v5/#signing-key-validity-period
 */
export function isKeyValidAt(validUntilTs: number, ts: number, now: number): boolean {
  return ts <= Math.min(validUntilTs, now + MAX_KEY_VALIDITY_MS)
}
