import { checkSignature, identityKeyOf, isSameKey } from '../../protocol/device-keys.js'
import { MatrixError, badJson, invalidParam, invalidSignature, notFound } from '../../protocol/errors.js'
import { parseUserId, type DeviceId, type UserId } from '../../protocol/ids.js'
import { signaturesOf } from '../../protocol/signed-json.js'
import type { Database } from '../../storage/database.js'
import type { CrossSigningKeys, CrossSigningStore, KeySignature } from '../../storage/stores/cross-signing.js'
import type { E2eKeysStore } from '../../storage/stores/e2e-keys.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { PositionSink } from '../streams/notifier.js'
import { CROSS_SIGNING_DEVICE } from './cross-signing.js'
import type { Devices } from './devices.js'

export interface KeySignaturesDependencies {
  readonly db: Database
  readonly crossSigning: CrossSigningStore
  readonly e2eKeys: E2eKeysStore
  readonly devices: Pick<Devices, 'recordChange'>
  /** Of device lists. */
  readonly streamIds: Pick<StreamIdGenerator, 'allocate'>
  readonly positions: PositionSink
}

/** A key with signatures, as a request brings it. */
interface SignedKey {
  readonly userId: UserId
  /** A device ID or a public key. */
  readonly subject: string
  readonly json: JsonObject
}

/** What signatures are held against. */
interface KnownKeys {
  /** The identity keys of the signer's own devices. */
  readonly devices: ReadonlyMap<string, JsonObject>
  readonly own: CrossSigningKeys
  readonly others: ReadonlyMap<UserId, CrossSigningKeys>
}

/** What has been found right. */
interface Accepted {
  readonly signatures: readonly KeySignature[]
  /** The device of the signer's, or `CROSS_SIGNING_DEVICE`, that others see changed; undefined: they see nothing. */
  readonly device: DeviceId | undefined
}

/** Keys signed by one request. */
const MAX_KEYS = 1_000
/** Devices that may have signed one key. */
const MAX_SIGNERS = 100

/** Signatures of keys, published after those. https://spec.matrix.org/latest/client-server-api/#cross-signing */
export class KeySignatures {
  readonly #deps: KeySignaturesDependencies

  constructor(deps: KeySignaturesDependencies) {
    this.#deps = deps
  }

  /**
   * Publishes signatures that a user has made: of their devices with the self-signing key, of their master key with
   * devices, of others' master keys with the user-signing key. Each must be of what is stored here, and right. `request`:
   * signed keys by user and by device ID or public key. Gives the errors of those that were not taken, by the same
   * names. Throws `M_BAD_JSON`, `M_INVALID_PARAM` for what is no such request.
   */
  async upload(signerId: UserId, request: JsonObject): Promise<JsonObject> {
    const signed = parseRequest(request)
    const known = await this.#load(signerId, signed)
    const results = await Promise.all(signed.map((key) => judge(signerId, key, known)))
    const accepted = results.flatMap((result) => (result instanceof MatrixError ? [] : [result]))
    if (accepted.length > 0) await this.#store(signerId, accepted)
    const failures = new Map<UserId, [string, JsonObject][]>()
    results.forEach((result, index) => {
      const key = signed[index]
      if (key === undefined || !(result instanceof MatrixError)) return
      failures.set(key.userId, [...(failures.get(key.userId) ?? []), [key.subject, result.toJson()]])
    })
    return Object.fromEntries([...failures].map(([userId, errors]) => [userId, Object.fromEntries(errors)]))
  }

  async #load(signerId: UserId, signed: readonly SignedKey[]): Promise<KnownKeys> {
    const { db, crossSigning, e2eKeys } = this.#deps
    const userIds = [...new Set([signerId, ...signed.map(({ userId }) => userId)])]
    const [devices, others] = await Promise.all([
      e2eKeys.listDeviceKeys(db.reader, [signerId]),
      crossSigning.getMany(db.reader, userIds),
    ])
    return {
      devices: new Map(devices.map(({ deviceId, keys }) => [deviceId, keys])),
      own: others.get(signerId) ?? {},
      others,
    }
  }

  async #store(signerId: UserId, accepted: readonly Accepted[]): Promise<void> {
    const { db, crossSigning, devices, streamIds, positions } = this.#deps
    const signatures = accepted.flatMap((one) => one.signatures)
    const changed = new Set(accepted.flatMap(({ device }) => device ?? []))
    const signed = new Set(signatures.map(({ userId }) => userId))
    signed.delete(signerId)
    await db.write('upload_key_signatures', async (tx) => {
      await crossSigning.addSignatures(tx, signatures)
      await devices.recordChange(tx, signerId, [...changed])
      const [streamId] = signed.size > 0 ? await streamIds.allocate(tx, 1) : []
      if (streamId === undefined) return
      await crossSigning.recordSigned(tx, signerId, [...signed], streamId)
      tx.afterCommit(() => positions.onNewPosition('device_lists', { users: [signerId] }))
    })
  }
}

function parseRequest(request: JsonObject): SignedKey[] {
  const keys = Object.entries(request).flatMap(([user, bySubject]) => {
    const userId = parseUserId(user)
    if (userId === undefined) throw invalidParam(`Not a user ID: ${user.slice(0, 255)}`)
    if (!isJsonObject(bySubject)) throw badJson('The signed keys of a user are an object')
    return Object.entries(bySubject).map(([subject, json]) => {
      if (!isJsonObject(json)) throw badJson('A signed key is an object')
      return { userId, subject, json }
    })
  })
  if (keys.length > MAX_KEYS) throw invalidParam(`A request may bring ${MAX_KEYS} signed keys`)
  return keys
}

/** The signatures to store, or why there are none. */
async function judge(signerId: UserId, key: SignedKey, known: KnownKeys): Promise<Accepted | MatrixError> {
  try {
    if (key.userId !== signerId) return await judgeOther(signerId, key, known)
    if (known.own.master?.publicKey === key.subject) return await judgeMaster(key, known)
    return await judgeDevice(key, known)
  } catch (error) {
    if (error instanceof MatrixError) return error
    throw error
  }
}

/** Somebody else's master key, which the user-signing key may sign: nobody else sees that. */
async function judgeOther(signerId: UserId, key: SignedKey, { own, others }: KnownKeys): Promise<Accepted> {
  const master = others.get(key.userId)?.master
  if (master?.publicKey !== key.subject) throw notFound('No such master key')
  if (own.user_signing === undefined) throw notFound('You have no user-signing key')
  checkSame(master.json, key.json)
  return {
    signatures: [await signatureBy(key, signerId, own.user_signing.publicKey)],
    device: undefined,
  }
}

async function judgeDevice(key: SignedKey, { own, devices }: KnownKeys): Promise<Accepted> {
  const device = devices.get(key.subject)
  if (device === undefined) throw notFound('No such key')
  if (own.self_signing === undefined) throw notFound('You have no self-signing key')
  checkSame(device, key.json)
  return {
    signatures: [await signatureBy(key, key.userId, own.self_signing.publicKey)],
    device: key.subject as DeviceId,
  }
}

/** The user's own master key, which any of their devices may sign. */
async function judgeMaster(key: SignedKey, { own, devices }: KnownKeys): Promise<Accepted> {
  checkSame(own.master?.json ?? {}, key.json)
  const signers = [...signaturesOf(key.json, key.userId).keys()].flatMap((keyId) => {
    const deviceId = keyId.slice('ed25519:'.length)
    const identity = identityKeyOf(devices.get(deviceId) ?? {}, 'ed25519', deviceId)
    return identity === undefined ? [] : [{ deviceId, identity }]
  })
  if (signers.length === 0) throw invalidSignature('No device of yours has signed the key')
  if (signers.length > MAX_SIGNERS) throw invalidParam(`${MAX_SIGNERS} devices may sign a key`)
  const signatures = await Promise.all(
    signers.map(({ deviceId, identity }) => signatureBy(key, key.userId, deviceId, identity)),
  )
  return { signatures, device: CROSS_SIGNING_DEVICE }
}

/** The signature by `ed25519:<name>`, which is right. `publicKey`: that key, where it is not its own name. */
async function signatureBy(
  { userId, subject, json }: SignedKey,
  signerId: UserId,
  name: string,
  publicKey = name,
): Promise<KeySignature> {
  const keyId = `ed25519:${name}`
  const verdict = await checkSignature(json, { userId: signerId, keyId, key: publicKey })
  const signature = signaturesOf(json, signerId).get(keyId)
  if (verdict !== 'valid' || signature === undefined) {
    throw invalidSignature(verdict === 'absent' ? `There is no signature by ${keyId}` : 'Invalid signature')
  }
  return { userId, subject, signerId, keyId, signature }
}

function checkSame(stored: JsonObject, signed: JsonObject): void {
  if (!isSameKey(stored, signed)) throw invalidParam('What is signed is not the key that was published')
}
