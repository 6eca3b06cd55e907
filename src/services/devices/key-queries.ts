import { badJson, invalidParam } from '../../protocol/errors.js'
import { parseUserId, serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { CrossSigningKeys, CrossSigningStore, KeySignature } from '../../storage/stores/cross-signing.js'
import type { DeviceKeysRecord, E2eKeysStore } from '../../storage/stores/e2e-keys.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

/** Whose keys somebody wants: of each user some devices, or all where the list is empty. */
export type KeyQuery = ReadonlyMap<UserId, readonly string[]>

export interface KeyQueriesDependencies {
  readonly db: Database
  readonly e2eKeys: E2eKeysStore
  readonly crossSigning: CrossSigningStore
  readonly serverName: ServerName
}

/** Users asked for in one request. */
const MAX_USERS = 10_000

/** Tells people each other's public keys. https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3keysquery */
export class KeyQueries {
  readonly #deps: KeyQueriesDependencies

  constructor(deps: KeyQueriesDependencies) {
    this.#deps = deps
  }

  /**
   * The keys of users, as `viewerId` may see them: the body of the answer. Servers that cannot be asked are under
   * `failures`. `wanted`: of the request, device IDs by user. Throws `M_BAD_JSON`, `M_INVALID_PARAM`.
   */
  async query(viewerId: UserId, wanted: JsonObject): Promise<JsonObject> {
    const query = parseQuery(wanted)
    const isLocal = (userId: UserId): boolean => serverNameOf(userId) === this.#deps.serverName
    const local = new Map([...query].filter(([userId]) => isLocal(userId)))
    const remote = [...query.keys()].filter((userId) => !isLocal(userId))
    return { ...(await this.#queryLocal(viewerId, local)), failures: failuresOf(remote) }
  }

  async #queryLocal(viewerId: UserId, query: KeyQuery): Promise<JsonObject> {
    const { db, e2eKeys, crossSigning } = this.#deps
    const userIds = [...query.keys()]
    const [devices, keys, signatures] = await db.read('query_keys', async (q) => [
      await e2eKeys.listDeviceKeys(q, userIds),
      await crossSigning.getMany(q, userIds),
      await crossSigning.listSignatures(q, userIds, viewerId),
    ])
    const bySubject = new Map<string, KeySignature[]>()
    for (const signature of signatures) {
      const subject = subjectOf(signature.userId, signature.subject)
      const others = bySubject.get(subject)
      if (others === undefined) bySubject.set(subject, [signature])
      else others.push(signature)
    }
    return {
      device_keys: devicesJson(query, devices, bySubject),
      ...crossSigningJson(viewerId, keys, bySubject),
    }
  }
}

/** An entry under `failures` for the server of each of these users. */
export function failuresOf(userIds: readonly UserId[]): JsonObject {
  const servers = new Set(userIds.map(serverNameOf))
  return Object.fromEntries([...servers].map((server) => [server, { status: 503, message: 'Not reachable' }]))
}

function parseQuery(wanted: JsonObject): KeyQuery {
  const entries = Object.entries(wanted)
  if (entries.length > MAX_USERS) throw invalidParam(`A request may name ${MAX_USERS} users`)
  return new Map(
    entries.map(([user, deviceIds]) => {
      const userId = parseUserId(user)
      if (userId === undefined) throw invalidParam(`Not a user ID: ${user.slice(0, 255)}`)
      if (!Array.isArray(deviceIds) || !deviceIds.every((deviceId) => typeof deviceId === 'string')) {
        throw badJson('The devices of a user are a list of device IDs')
      }
      return [userId, deviceIds]
    }),
  )
}

/** Every user has an entry, so that clients know that they have been asked. */
function devicesJson(
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
function crossSigningJson(
  viewerId: UserId,
  keys: ReadonlyMap<UserId, CrossSigningKeys>,
  signatures: ReadonlyMap<string, readonly KeySignature[]>,
): JsonObject {
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
  return { master_keys: masters, self_signing_keys: selfSigning, user_signing_keys: userSigning }
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
