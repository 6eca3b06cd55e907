import { canonicalJson } from '../../protocol/canonical-json.js'
import {
  checkSignatures,
  identityKeyOf,
  isSameKey,
  parseDeviceKeys,
  parseOneTimeKeys,
  type DeviceAddress,
  type OneTimeKey,
} from '../../protocol/device-keys.js'
import { forbidden, invalidParam, invalidSignature, type MatrixError } from '../../protocol/errors.js'
import type { Database, Query, Tx } from '../../storage/database.js'
import type { E2eKeysStore, KeyCounts } from '../../storage/stores/e2e-keys.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { Devices } from './devices.js'

export interface E2eKeysDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly e2eKeys: E2eKeysStore
  readonly devices: Pick<Devices, 'exists' | 'recordChange'>
}

/** What a device publishes, as it comes from the client; each part may be left out. */
export interface KeysUpload {
  readonly deviceKeys?: JsonObject | undefined
  readonly oneTimeKeys?: JsonObject | undefined
  readonly fallbackKeys?: JsonObject | undefined
}

/** Keys whose form and signatures have been checked. */
export interface CheckedKeys {
  readonly address: DeviceAddress
  readonly deviceKeys: JsonObject | undefined
  readonly oneTimeKeys: readonly OneTimeKey[]
  readonly fallbackKeys: readonly OneTimeKey[]
}

/** Of one device that nobody has claimed: clients keep a hundred at most. */
const MAX_ONE_TIME_KEYS = 5_000
/** For so long an upload that is repeated does not bring back a key that has been claimed. */
const CLAIMED_KEPT_MS = 7 * 24 * 60 * 60 * 1000
/** Clients that find no count for it take it that nothing has changed. */
const USUAL_ALGORITHM = 'signed_curve25519'

/** The keys that devices of this server publish. https://spec.matrix.org/latest/client-server-api/#device-keys */
export class E2eKeys {
  readonly #deps: E2eKeysDependencies

  constructor(deps: E2eKeysDependencies) {
    this.#deps = deps
  }

  /**
   * Publishes keys of a device and gives how many one-time keys it has then. A one-time key that is there already is
   * passed over, so that an upload can be repeated; those that were claimed do not come back. Throws `M_BAD_JSON`,
   * `M_INVALID_PARAM` for other names and for another key of the same name, `M_INVALID_SIGNATURE`, `M_TOO_LARGE`.
   */
  async upload(address: DeviceAddress, upload: KeysUpload): Promise<KeyCounts['oneTimeKeys']> {
    const checked = await this.check(address, upload)
    const { oneTimeKeys } = await this.#deps.db.write('upload_keys', (tx) => this.storeIn(tx, checked))
    return oneTimeKeys
  }

  /** Checks what is to be stored; throws as `upload` does. */
  async check(address: DeviceAddress, upload: KeysUpload): Promise<CheckedKeys> {
    const deviceKeys = upload.deviceKeys && parseDeviceKeys(upload.deviceKeys, address)
    // Their signatures cost time.
    if (Object.keys(upload.oneTimeKeys ?? {}).length > MAX_ONE_TIME_KEYS) throw tooManyKeys()
    const oneTimeKeys = parseOneTimeKeys(upload.oneTimeKeys ?? {})
    const fallbackKeys = parseOneTimeKeys(upload.fallbackKeys ?? {})
    if (new Set(fallbackKeys.map(({ algorithm }) => algorithm)).size < fallbackKeys.length) {
      throw invalidParam('A device has one fallback key of each algorithm')
    }
    await this.#verify(address, deviceKeys, [...oneTimeKeys, ...fallbackKeys])
    return { address, deviceKeys, oneTimeKeys, fallbackKeys }
  }

  /** Stores what has been checked, in a transaction of the caller's. The device must exist. */
  async storeIn(tx: Tx, keys: CheckedKeys): Promise<KeyCounts> {
    const { address, deviceKeys, oneTimeKeys, fallbackKeys } = keys
    const { devices, e2eKeys } = this.#deps
    if (!(await devices.exists(tx, address.userId, address.deviceId))) {
      throw forbidden('The device has been deleted')
    }
    if (deviceKeys !== undefined) await this.#storeDeviceKeys(tx, address, deviceKeys)
    if (oneTimeKeys.length > 0) await this.#storeOneTimeKeys(tx, address, oneTimeKeys)
    if (fallbackKeys.length > 0) await this.#storeFallbackKeys(tx, address, fallbackKeys)
    const counts = await e2eKeys.getCounts(tx, address)
    const stored = Object.values(counts.oneTimeKeys).reduce((sum, count) => sum + count, 0)
    if (stored > MAX_ONE_TIME_KEYS) throw tooManyKeys()
    return withUsual(counts)
  }

  /** How many keys a device has left, always with a number for the usual algorithm. Mostly without a query. */
  async getCounts(q: Query, address: DeviceAddress): Promise<KeyCounts> {
    return withUsual(await this.#deps.e2eKeys.getCounts(q, address))
  }

  /**
   * Signatures of one-time keys need not be there, but none may be wrong: such a key would be given out once, and lost.
   * What a device signs of itself is for those to check who read it, as often as they like.
   */
  async #verify(
    address: DeviceAddress,
    deviceKeys: JsonObject | undefined,
    others: readonly OneTimeKey[],
  ): Promise<void> {
    const signed = others.flatMap(({ key }) => (typeof key === 'string' ? [] : [key]))
    if (signed.length === 0) return
    const { db, e2eKeys } = this.#deps
    const keys = deviceKeys ?? (await e2eKeys.getDeviceKeys(db.reader, address))
    const key = keys && identityKeyOf(keys, 'ed25519', address.deviceId)
    if (key === undefined) return
    const signer = { userId: address.userId, keyId: `ed25519:${address.deviceId}`, key }
    const verdicts = await checkSignatures(signed, signer)
    if (verdicts.includes('invalid')) throw invalidSignature('The signature of a one-time key is wrong')
  }

  async #storeDeviceKeys(tx: Tx, address: DeviceAddress, keys: JsonObject): Promise<void> {
    const { devices, e2eKeys } = this.#deps
    const { userId, deviceId } = address
    const stored = await e2eKeys.getDeviceKeys(tx, address)
    if (stored !== undefined && canonicalJson(stored) === canonicalJson(keys)) return
    if (stored !== undefined && !hasSameIdentity(stored, keys, deviceId)) {
      // They go with the old identity: nobody could begin a session with them.
      await e2eKeys.deleteOneTimeKeys(tx, userId, [deviceId])
    }
    await e2eKeys.setDeviceKeys(tx, address, keys)
    await devices.recordChange(tx, userId, [deviceId])
  }

  async #storeOneTimeKeys(tx: Tx, address: DeviceAddress, keys: readonly OneTimeKey[]): Promise<void> {
    const { e2eKeys, clock } = this.#deps
    const known = new Map((await e2eKeys.listKnown(tx, address, keys)).map((key) => [nameOf(key), key]))
    const added = keys.filter((key) => {
      const before = known.get(nameOf(key))
      if (before === undefined) return true
      if (isSameKey(before.key, key.key)) return false
      if (!before.isClaimed) throw invalidParam(`One time key ${nameOf(key)} already exists, and is another`)
      return true
    })
    if (added.length === 0) return
    await e2eKeys.addOneTimeKeys(tx, address, added, clock.now())
    await e2eKeys.deleteClaimed(tx, address, clock.now() - CLAIMED_KEPT_MS)
  }

  /** The same key again stays used if it was. */
  async #storeFallbackKeys(tx: Tx, address: DeviceAddress, keys: readonly OneTimeKey[]): Promise<void> {
    const stored = await this.#deps.e2eKeys.listFallbackKeys(tx, address)
    const known = new Map(stored.map((key) => [nameOf(key), key]))
    const changed = keys.filter((key) => {
      const before = known.get(nameOf(key))
      return before === undefined || !isSameKey(before.key, key.key)
    })
    await this.#deps.e2eKeys.setFallbackKeys(tx, address, changed)
  }
}

function hasSameIdentity(a: JsonObject, b: JsonObject, deviceId: string): boolean {
  return (['ed25519', 'curve25519'] as const).every(
    (algorithm) => identityKeyOf(a, algorithm, deviceId) === identityKeyOf(b, algorithm, deviceId),
  )
}

function tooManyKeys(): MatrixError {
  return invalidParam(`A device may have ${MAX_ONE_TIME_KEYS} one-time keys`)
}

function nameOf({ algorithm, keyId }: OneTimeKey): string {
  return `${algorithm}:${keyId}`
}

function withUsual(counts: KeyCounts): KeyCounts {
  return { ...counts, oneTimeKeys: { [USUAL_ALGORITHM]: 0, ...counts.oneTimeKeys } }
}
