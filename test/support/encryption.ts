import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { signableText } from '../../src/protocol/signed-json.js'
import { isJsonObject, type JsonObject } from '../../src/util/json.js'

/** A key pair that signs, as clients have them. */
export class SigningKey {
  readonly #key: KeyObject
  /** Unpadded Base64. */
  readonly publicKey: string

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    this.#key = privateKey
    this.publicKey = unpadded(Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url'))
  }

  /** The object with a signature more: by the user's key `ed25519:<name>`; the public key is the name by default. */
  sign(json: JsonObject, userId: string, name = this.publicKey): JsonObject {
    const signature = unpadded(sign(null, Buffer.from(signableText(json)), this.#key))
    const signatures = isJsonObject(json['signatures']) ? json['signatures'] : {}
    const own = isJsonObject(signatures[userId]) ? signatures[userId] : {}
    return { ...json, signatures: { ...signatures, [userId]: { ...own, [`ed25519:${name}`]: signature } } }
  }
}

/** A device that encrypts: its identity, and as many keys for others as a test wants. */
export class EncryptingDevice {
  readonly userId: string
  readonly deviceId: string
  readonly key = new SigningKey()
  /** As they are uploaded. */
  readonly deviceKeys: JsonObject

  constructor({ userId, deviceId }: { userId: string; deviceId: string }) {
    this.userId = userId
    this.deviceId = deviceId
    this.deviceKeys = this.sign({
      user_id: userId,
      device_id: deviceId,
      algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
      keys: {
        [`ed25519:${deviceId}`]: this.key.publicKey,
        [`curve25519:${deviceId}`]: randomKey(),
      },
    })
  }

  sign(json: JsonObject): JsonObject {
    return this.key.sign(json, this.userId, this.deviceId)
  }

  /** Signed keys by name: `signed_curve25519:<ID>`. */
  oneTimeKeys(ids: readonly string[], more: JsonObject = {}): JsonObject {
    return Object.fromEntries(
      ids.map((id) => [`signed_curve25519:${id}`, this.sign({ key: randomKey(), ...more })]),
    )
  }
}

/** The cross-signing keys of a user. */
export class CrossSigningIdentity {
  readonly userId: string
  readonly master = new SigningKey()
  readonly selfSigning = new SigningKey()
  readonly userSigning = new SigningKey()

  constructor(userId: string) {
    this.userId = userId
  }

  get masterKey(): JsonObject {
    return this.#json('master', this.master)
  }

  get selfSigningKey(): JsonObject {
    return this.master.sign(this.#json('self_signing', this.selfSigning), this.userId)
  }

  get userSigningKey(): JsonObject {
    return this.master.sign(this.#json('user_signing', this.userSigning), this.userId)
  }

  /** The body of `/keys/device_signing/upload`. */
  get upload(): JsonObject {
    return {
      master_key: this.masterKey,
      self_signing_key: this.selfSigningKey,
      user_signing_key: this.userSigningKey,
    }
  }

  #json(usage: string, { publicKey }: SigningKey): JsonObject {
    return { user_id: this.userId, usage: [usage], keys: { [`ed25519:${publicKey}`]: publicKey } }
  }
}

function randomKey(): string {
  return unpadded(randomBytes(32))
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
