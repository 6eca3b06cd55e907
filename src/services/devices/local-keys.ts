import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { CrossSigningKeys, CrossSigningStore, KeySignature } from '../../storage/stores/cross-signing.js'
import type { DevicesStore } from '../../storage/stores/devices.js'
import type { DeviceKeysRecord, E2eKeysStore } from '../../storage/stores/e2e-keys.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { groupBy } from '../../util/group-by.js'

/** Whose keys somebody wants: of each user some devices, or all where the list is empty. */
export type KeyQuery = ReadonlyMap<UserId, readonly string[]>

/** What a user of this server publishes to others, with the signatures by the user themselves. */
export interface PublishedKeys {
  readonly devices: ReadonlyMap<
    DeviceId,
    { readonly keys: JsonObject | undefined; readonly displayName: string | undefined }
  >
  readonly master: JsonObject | undefined
  readonly selfSigning: JsonObject | undefined
}

export interface LocalKeysDependencies {
  readonly db: Database
  readonly devices: Pick<DevicesStore, 'listForUsers'>
  readonly e2eKeys: E2eKeysStore
  readonly crossSigning: CrossSigningStore
  /** `allow_device_name_lookup_over_federation`: other servers are told the names of devices. */
  readonly tellsDeviceNames: boolean
}

/** Keys of this server's users, as others see them. */
export class LocalKeys {
  readonly #deps: LocalKeysDependencies

  constructor(deps: LocalKeysDependencies) {
    this.#deps = deps
  }

  /**
   * The answer to a query, as `viewerId` may see it; undefined stands for another server, which sees no user-signing
   * keys and no signatures by others than the users.
   */
  async query(viewerId: UserId | undefined, query: KeyQuery): Promise<JsonObject> {
    const { db, e2eKeys, crossSigning, tellsDeviceNames } = this.#deps
    const userIds = [...query.keys()]
    const [devices, keys, signatures] = await db.read('query_keys', async (q) => [
      await e2eKeys.listDeviceKeys(q, userIds),
      await crossSigning.getMany(q, userIds),
      await crossSigning.listSignatures(q, userIds, viewerId),
    ])
    const bySubject = groupSignatures(signatures)
    const named =
      viewerId !== undefined || tellsDeviceNames
        ? devices
        : devices.map((device) => ({ ...device, displayName: undefined }))
    return {
      device_keys: devicesJson(query, named, bySubject),
      ...crossSigningJson(viewerId, keys, bySubject),
    }
  }

  /** What these users publish to other servers; an entry for each. */
  async describe(userIds: readonly UserId[]): Promise<Map<UserId, PublishedKeys>> {
    const { db, e2eKeys, crossSigning, devices: store, tellsDeviceNames } = this.#deps
    const [devices, deviceKeys, keys, signatures] = await db.read('describe_devices', async (q) => [
      await store.listForUsers(q, userIds),
      await e2eKeys.listDeviceKeys(q, userIds),
      await crossSigning.getMany(q, userIds),
      await crossSigning.listSignatures(q, userIds, undefined),
    ])
    const bySubject = groupSignatures(signatures)
    const keysByDevice = new Map(
      deviceKeys.map((record) => [
        subjectOf(record.userId, record.deviceId),
        withSignatures(record.keys, bySubject.get(subjectOf(record.userId, record.deviceId))),
      ]),
    )
    return new Map(
      userIds.map((userId) => {
        const own = devices.filter((device) => device.userId === userId)
        const { master, self_signing } = keys.get(userId) ?? {}
        return [
          userId,
          {
            devices: new Map(
              own.map(({ deviceId, displayName }) => [
                deviceId,
                {
                  keys: keysByDevice.get(subjectOf(userId, deviceId)),
                  displayName: tellsDeviceNames ? displayName : undefined,
                },
              ]),
            ),
            master: master && withSignatures(master.json, bySubject.get(subjectOf(userId, master.publicKey))),
            selfSigning: self_signing?.json,
          },
        ]
      }),
    )
  }
}

/** Signatures by what they sign; see `subjectOf`. */
export function groupSignatures(signatures: readonly KeySignature[]): Map<string, KeySignature[]> {
  return groupBy(signatures, ({ userId, subject }) => subjectOf(userId, subject))
}

/** Every user has an entry, so that clients know that they have been asked. */
export function devicesJson(
  query: KeyQuery,
  devices: readonly DeviceKeysRecord[],
  signatures: ReadonlyMap<string, readonly KeySignature[]>,
): JsonObject {
  const byUser = new Map<UserId, [string, JsonObject][]>([...query.keys()].map((userId) => [userId, []]))
  const picked = new Map([...query].map(([userId, deviceIds]) => [userId, new Set(deviceIds)]))
  for (const { userId, deviceId, keys, displayName } of devices) {
    const wanted = picked.get(userId)
    if (wanted !== undefined && wanted.size > 0 && !wanted.has(deviceId)) continue
    const unsigned = displayName === undefined ? {} : { device_display_name: displayName }
    const signed = withSignatures(keys, signatures.get(subjectOf(userId, deviceId)))
    byUser.get(userId)?.push([deviceId, { ...signed, unsigned }])
  }
  return Object.fromEntries([...byUser].map(([userId, entries]) => [userId, Object.fromEntries(entries)]))
}

/** Nobody but the user themselves sees whom they have verified: the user-signing key is theirs alone. */
export function crossSigningJson(
  viewerId: UserId | undefined,
  keys: ReadonlyMap<UserId, CrossSigningKeys>,
  signatures: ReadonlyMap<string, readonly KeySignature[]>,
): { master_keys: JsonObject; self_signing_keys: JsonObject; user_signing_keys?: JsonObject } {
  const masters: JsonObject = {}
  const selfSigning: JsonObject = {}
  const userSigning: JsonObject = {}
  for (const [userId, { master, self_signing, user_signing }] of keys) {
    if (master !== undefined) {
      masters[userId] = withSignatures(master.json, signatures.get(subjectOf(userId, master.publicKey)))
    }
    if (self_signing !== undefined) selfSigning[userId] = self_signing.json
    if (user_signing !== undefined && userId === viewerId) userSigning[userId] = user_signing.json
  }
  return {
    master_keys: masters,
    self_signing_keys: selfSigning,
    ...(viewerId !== undefined && { user_signing_keys: userSigning }),
  }
}

function withSignatures(json: JsonObject, added: readonly KeySignature[] = []): JsonObject {
  if (added.length === 0) return json
  const { signatures } = json
  const bySigner = new Map<string, JsonObject>(
    isJsonObject(signatures)
      ? Object.entries(signatures).map(([signer, byKey]) => [signer, isJsonObject(byKey) ? byKey : {}])
      : [],
  )
  for (const { signerId, keyId, signature } of added) {
    bySigner.set(signerId, { ...bySigner.get(signerId), [keyId]: signature })
  }
  return { ...json, signatures: Object.fromEntries(bySigner) }
}

function subjectOf(userId: UserId, subject: string): string {
  return `${userId}\u0000${subject}`
}
