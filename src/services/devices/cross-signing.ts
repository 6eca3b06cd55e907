import {
  CROSS_SIGNING_USAGES,
  parseCrossSigningKey,
  type CrossSigningKey,
  type CrossSigningUsage,
} from '../../protocol/cross-signing-keys.js'
import { checkSignatures, isSameKey } from '../../protocol/device-keys.js'
import { forbidden, invalidSignature, missingParam, notFound } from '../../protocol/errors.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { Database, Query, Tx } from '../../storage/database.js'
import type { CrossSigningKeys, CrossSigningStore } from '../../storage/stores/cross-signing.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { PositionSink } from '../streams/notifier.js'
import type { Devices } from './devices.js'

export interface CrossSigningDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly crossSigning: CrossSigningStore
  readonly devices: Pick<Devices, 'list' | 'recordChange'>
  /** Of device lists. */
  readonly streamIds: Pick<StreamIdGenerator, 'allocate'>
  readonly positions: PositionSink
}

/** Keys as a request brings them; each may be left out. */
export type CrossSigningRequest = Readonly<Partial<Record<CrossSigningUsage, JsonObject | undefined>>>

/** Keys whose form and signatures have been checked. */
export interface CrossSigningUpload {
  /** Those that differ from what is stored. */
  readonly keys: readonly CrossSigningKey[]
  /** The public key of the master key that was there when they were checked. */
  readonly master: string | undefined
  /** Whether the user has to prove who they are before the keys are stored. */
  readonly needsProof: boolean
}

/**
 * In the stream of device lists, the user's cross-signing keys count as a device without a name, which no other device
 * can be.
 */
export const CROSS_SIGNING_DEVICE = '' as DeviceId

const REPLACEABLE_MS = 10 * 60_000

/** The keys with which users sign keys. https://spec.matrix.org/latest/client-server-api/#cross-signing */
export class CrossSigning {
  readonly #deps: CrossSigningDependencies
  /** Until when users need not prove who they are to replace their keys. */
  readonly #replaceable = new Map<UserId, number>()

  constructor(deps: CrossSigningDependencies) {
    this.#deps = deps
  }

  /**
   * Checks keys that a user wants to publish. No proof is needed for the first ones, nor for those that are there
   * already. Throws `M_BAD_JSON`, `M_INVALID_PARAM`, `M_TOO_LARGE`; `M_MISSING_PARAM` without any master key;
   * `M_INVALID_SIGNATURE` for keys that the master key has not signed; `M_FORBIDDEN` for one named like a device.
   */
  async check(userId: UserId, request: CrossSigningRequest): Promise<CrossSigningUpload> {
    const { db, crossSigning } = this.#deps
    const given = CROSS_SIGNING_USAGES.flatMap((usage) => {
      const json = request[usage]
      return json === undefined ? [] : [parseCrossSigningKey(json, usage, userId)]
    })
    const stored = await crossSigning.get(db.reader, userId)
    const master = given.find(({ usage }) => usage === 'master') ?? stored.master
    if (master === undefined) throw missingParam('master_key')
    const keys = given.filter((key) => isNew(key, stored))
    await checkSigned(keys, master, userId)
    await this.#checkNames(userId, keys)
    return {
      keys,
      master: stored.master?.publicKey,
      needsProof:
        stored.master !== undefined &&
        (keys.length > 0 || given.length === 0) &&
        !this.#isReplaceable(userId),
    }
  }

  /**
   * Stores keys that have been checked. A new master key ends the others, and all signatures by those that go. Throws
   * `M_FORBIDDEN` where the master key is not the one that they were checked with any more.
   */
  async store(userId: UserId, upload: CrossSigningUpload): Promise<void> {
    if (upload.keys.length === 0) return
    await this.#deps.db.write('upload_cross_signing_keys', (tx) => this.#storeIn(tx, userId, upload))
    this.#replaceable.delete(userId)
  }

  /**
   * Lets a user replace their keys once without proving who they are, for ten minutes or until the server stops: for those
   * who have lost what they prove it with. Gives the time at which that ends. Throws `M_NOT_FOUND` for users without keys.
   */
  async allowReplacement(userId: UserId): Promise<number> {
    const { db, clock } = this.#deps
    if (!(await this.isSetUp(db.reader, userId))) throw notFound('User has no master cross-signing key')
    const now = clock.now()
    for (const [other, untilTs] of this.#replaceable) if (untilTs <= now) this.#replaceable.delete(other)
    const untilTs = now + REPLACEABLE_MS
    this.#replaceable.set(userId, untilTs)
    return untilTs
  }

  /** Whether the user has a master key. */
  async isSetUp(q: Query, userId: UserId): Promise<boolean> {
    return (await this.#deps.crossSigning.get(q, userId)).master !== undefined
  }

  #isReplaceable(userId: UserId): boolean {
    return (this.#replaceable.get(userId) ?? 0) > this.#deps.clock.now()
  }

  async #storeIn(tx: Tx, userId: UserId, { keys, master }: CrossSigningUpload): Promise<void> {
    const { crossSigning, devices } = this.#deps
    const stored = await crossSigning.get(tx, userId)
    if (stored.master?.publicKey !== master) throw forbidden('The keys have been changed in the meantime')
    const changed = new Set(keys.map(({ usage }) => usage))
    const isNewMaster = keys.some(({ usage, publicKey }) => usage === 'master' && publicKey !== master)
    const gone = CROSS_SIGNING_USAGES.filter((usage) => changed.has(usage) || isNewMaster)
    const names = gone.flatMap((usage) => stored[usage]?.publicKey ?? [])
    const kept = new Set(keys.map(({ publicKey }) => publicKey))
    await crossSigning.deleteSignatures(
      tx,
      userId,
      names.filter((name) => !kept.has(name)),
    )
    if (isNewMaster) await crossSigning.delete(tx, userId, gone)
    await crossSigning.set(tx, userId, keys)
    if (keys.some(({ usage }) => usage !== 'user_signing') || isNewMaster)
      await devices.recordChange(tx, userId, [CROSS_SIGNING_DEVICE])
    else await this.#tellOneself(tx, userId)
  }

  /** The key that signs other users is shown to nobody else. */
  async #tellOneself(tx: Tx, userId: UserId): Promise<void> {
    const { crossSigning, streamIds, positions } = this.#deps
    const [streamId] = await streamIds.allocate(tx, 1)
    if (streamId === undefined) throw new Error('No position of the device lists stream was allocated')
    await crossSigning.recordSigned(tx, userId, [userId], streamId)
    tx.afterCommit(() => positions.onNewPosition('device_lists', { users: [userId] }))
  }

  /** Devices and cross-signing keys sign under their names: nobody shall take one for the other. */
  async #checkNames(userId: UserId, keys: readonly CrossSigningKey[]): Promise<void> {
    if (keys.length === 0) return
    const deviceIds = new Set<string>((await this.#deps.devices.list(userId)).map(({ deviceId }) => deviceId))
    if (keys.some(({ publicKey }) => deviceIds.has(publicKey))) throw forbidden('Key ID in use')
  }
}

function isNew(key: CrossSigningKey, stored: CrossSigningKeys): boolean {
  const before = stored[key.usage]
  return before === undefined || !isSameKey(before.json, key.json)
}

async function checkSigned(
  keys: readonly CrossSigningKey[],
  master: CrossSigningKey,
  userId: UserId,
): Promise<void> {
  const signer = { userId, keyId: `ed25519:${master.publicKey}`, key: master.publicKey }
  const others = keys.filter(({ usage }) => usage !== 'master').map(({ json }) => json)
  const verdicts = await checkSignatures(others, signer)
  if (verdicts.some((verdict) => verdict !== 'valid')) {
    throw invalidSignature('The master key has not signed the other keys')
  }
}
