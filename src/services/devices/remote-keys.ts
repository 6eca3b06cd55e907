import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { CrossSigningKeys, CrossSigningStore } from '../../storage/stores/cross-signing.js'
import type { ClaimedKey, DeviceKeysRecord } from '../../storage/stores/e2e-keys.js'
import type { RemoteDevicesStore } from '../../storage/stores/remote-devices.js'
import { MatrixError } from '../../protocol/errors.js'
import { parseOneTimeKeys, type DeviceAddress } from '../../protocol/device-keys.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { Semaphore } from '../../util/semaphore.js'
import { groupBy, pushTo } from '../../util/group-by.js'
import { withTimeLimit } from '../../util/time-limit.js'
import type { FederationClient } from '../remote/federation-client.js'
import { FederationError } from '../remote/federation-error.js'
import { crossSigningJson, devicesJson, groupSignatures, type KeyQuery } from './local-keys.js'
import type { RemoteDeviceLists } from './remote-device-lists.js'
import { parseQueriedKeys, type RemoteUserKeys } from './remote-key-parsing.js'

export interface RemoteKeysDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'setTimeout'>
  readonly client: Pick<FederationClient, 'request'>
  readonly remoteDevices: RemoteDevicesStore
  readonly crossSigning: CrossSigningStore
  readonly deviceLists: Pick<RemoteDeviceLists, 'fetch' | 'keepCrossSigning'>
}

/** What somebody wants of a device of another server. */
export interface RemoteWish extends DeviceAddress {
  readonly algorithm: string
}

interface Found {
  readonly devices: DeviceKeysRecord[]
  readonly crossSigning: Map<UserId, CrossSigningKeys>
  readonly failures: Map<ServerName, JsonObject>
}

const DEFAULT_TIMEOUT_MS = 10_000
const MAX_TIMEOUT_MS = 60_000
/** How much longer than one question of it all questions to one server may take. */
const TIMEOUT_FACTOR = 1.5
/** Servers that are asked for one request at the same time, and lists of one server. */
const PARALLEL_SERVERS = 20
const PARALLEL_USERS = 5
/** Of one server: of more, the keys are asked for at once, and not followed. */
const MAX_FETCHED_LISTS = 100
const MAX_ANSWER_BYTES = 32 * 1024 * 1024

/** Keys of other servers' users: from memory where we follow their devices, else from their servers. */
export class RemoteKeys {
  readonly #deps: RemoteKeysDependencies

  constructor(deps: RemoteKeysDependencies) {
    this.#deps = deps
  }

  /**
   * The keys of users of other servers as `viewerId` may see them, and `failures` by server.
   * https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3keysquery
   */
  async query(
    viewerId: UserId,
    query: KeyQuery,
    options: { timeoutMs: number | undefined },
  ): Promise<JsonObject> {
    const timeoutMs = Math.min(options.timeoutMs ?? DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS)
    const { db, remoteDevices, crossSigning } = this.#deps
    const userIds = [...query.keys()]
    const found: Found = { devices: [], crossSigning: new Map(), failures: new Map() }
    const fresh = await remoteDevices.listFresh(db.reader, userIds)
    const others = userIds.filter((userId) => !fresh.has(userId))
    const followable = await remoteDevices.listFollowable(db.reader, others)
    const followed = await this.#fetchAll(
      [...groupBy(others, serverNameOf)].map(([server, users]) => ({ server, users, followable })),
      { timeoutMs, query, found },
    )
    const known = [...fresh, ...followed]
    found.devices.push(...(await remoteDevices.listDevices(db.reader, known)))
    for (const [userId, keys] of await crossSigning.getMany(db.reader, known)) {
      found.crossSigning.set(userId, keys)
    }
    const answered = new Map(
      [...query].filter(([userId]) => known.includes(userId) || !found.failures.has(serverNameOf(userId))),
    )
    const signatures = groupSignatures(await crossSigning.listSignatures(db.reader, userIds, viewerId))
    return {
      device_keys: devicesJson(answered, found.devices, signatures),
      ...crossSigningJson(viewerId, found.crossSigning, signatures),
      failures: Object.fromEntries(found.failures),
    }
  }

  /**
   * One-time keys of devices of other servers, and `failures` by server.
   * https://spec.matrix.org/latest/server-server-api/#post_matrixfederationv1userkeysclaim
   */
  async claim(
    wishes: readonly RemoteWish[],
    options: { timeoutMs: number | undefined },
  ): Promise<{ keys: ClaimedKey[]; failures: JsonObject }> {
    const timeoutMs = Math.min(options.timeoutMs ?? DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS)
    const servers = new Map<ServerName, RemoteWish[]>()
    for (const wish of wishes) pushTo(servers, serverNameOf(wish.userId), wish)
    const failures = new Map<ServerName, JsonObject>()
    const slots = new Semaphore(PARALLEL_SERVERS)
    const keys = await Promise.all(
      [...servers].map(([server, ofServer]) =>
        slots.run(() =>
          this.#claimFrom(server, ofServer, timeoutMs).catch((error: unknown) => {
            failures.set(server, toFailure(error))
            return []
          }),
        ),
      ),
    )
    return { keys: keys.flat(), failures: Object.fromEntries(failures) }
  }

  /** Asks the servers; gives those whose lists are in the database now. */
  async #fetchAll(
    servers: readonly {
      readonly server: ServerName
      readonly users: readonly UserId[]
      readonly followable: ReadonlySet<UserId>
    }[],
    context: { timeoutMs: number; query: KeyQuery; found: Found },
  ): Promise<UserId[]> {
    const slots = new Semaphore(PARALLEL_SERVERS)
    const followed = await Promise.all(
      servers.map(({ server, users, followable }) =>
        slots.run(() =>
          withTimeLimit(this.#deps.clock, TIMEOUT_FACTOR * context.timeoutMs, (signal) =>
            this.#fetchFrom(server, { users, followable, signal, ...context }),
          ).catch((error: unknown) => {
            context.found.failures.set(server, toFailure(error))
            return this.#lastKnown(users)
          }),
        ),
      ),
    )
    return followed.flat()
  }

  /** What was known of users whose server does not answer is better than nothing. */
  async #lastKnown(users: readonly UserId[]): Promise<UserId[]> {
    const { db, remoteDevices } = this.#deps
    const followable = await remoteDevices.listFollowable(db.reader, users)
    const devices = await remoteDevices.listDevices(db.reader, [...followable])
    return [...new Set(devices.map(({ userId }) => userId))]
  }

  async #fetchFrom(
    server: ServerName,
    wanted: {
      readonly users: readonly UserId[]
      readonly followable: ReadonlySet<UserId>
      readonly timeoutMs: number
      readonly signal: AbortSignal
      readonly query: KeyQuery
      readonly found: Found
    },
  ): Promise<UserId[]> {
    const { users, followable } = wanted
    const toFollow = users.filter((userId) => followable.has(userId))
    const followed = toFollow.length > MAX_FETCHED_LISTS ? [] : await this.#follow(toFollow, wanted)
    const rest = users.filter((userId) => !followed.includes(userId))
    if (rest.length > 0) await this.#ask(server, rest, wanted)
    return followed
  }

  /** Fetches lists one by one; those that cannot be had so are asked for otherwise. */
  async #follow(
    users: readonly UserId[],
    { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  ): Promise<UserId[]> {
    const slots = new Semaphore(PARALLEL_USERS)
    const outcomes = await Promise.all(
      users.map((userId) =>
        slots.run(async () => {
          if (signal.aborted) return []
          try {
            await this.#deps.deviceLists.fetch(userId, { timeoutMs, signal })
            return [userId]
          } catch (error) {
            if (error instanceof FederationError && error.kind === 'refused') return []
            throw error
          }
        }),
      ),
    )
    return outcomes.flat()
  }

  async #ask(
    server: ServerName,
    users: readonly UserId[],
    {
      timeoutMs,
      signal,
      query,
      found,
    }: { timeoutMs: number; signal: AbortSignal; query: KeyQuery; found: Found },
  ): Promise<void> {
    const answer = await this.#deps.client.request({
      destination: server,
      method: 'POST',
      path: '/_matrix/federation/v1/user/keys/query',
      body: {
        device_keys: Object.fromEntries(users.map((userId) => [userId, [...(query.get(userId) ?? [])]])),
      },
      timeoutMs,
      signal,
      maxBytes: MAX_ANSWER_BYTES,
    })
    const signing = new Map<UserId, RemoteUserKeys['crossSigning']>()
    for (const userId of users) {
      const { devices, crossSigning } = parseQueriedKeys(answer, userId)
      found.devices.push(...devices)
      found.crossSigning.set(userId, byUsage(crossSigning))
      if (crossSigning.length > 0) signing.set(userId, crossSigning)
    }
    await this.#deps.deviceLists.keepCrossSigning(signing)
  }

  async #claimFrom(
    server: ServerName,
    wishes: readonly RemoteWish[],
    timeoutMs: number,
  ): Promise<ClaimedKey[]> {
    const oneTimeKeys: Record<string, Record<string, string>> = {}
    for (const { userId, deviceId, algorithm } of wishes) {
      oneTimeKeys[userId] = { ...oneTimeKeys[userId], [deviceId]: algorithm }
    }
    const answer = await this.#deps.client.request({
      destination: server,
      method: 'POST',
      path: '/_matrix/federation/v1/user/keys/claim',
      body: { one_time_keys: oneTimeKeys },
      timeoutMs,
      maxBytes: MAX_ANSWER_BYTES,
    })
    return wishes.flatMap((wish) => parseClaimed(answer, wish))
  }
}

function byUsage(keys: RemoteUserKeys['crossSigning']): CrossSigningKeys {
  return Object.fromEntries(keys.map((key) => [key.usage, key]))
}

/** One key of the algorithm that was asked for. */
function parseClaimed(answer: JsonObject, { userId, deviceId, algorithm }: RemoteWish): ClaimedKey[] {
  const users = answer['one_time_keys']
  const devices = isJsonObject(users) && Object.hasOwn(users, userId) ? users[userId] : undefined
  const keys = isJsonObject(devices) && Object.hasOwn(devices, deviceId) ? devices[deviceId] : undefined
  if (!isJsonObject(keys)) return []
  try {
    const key = parseOneTimeKeys(keys).find((one) => one.algorithm === algorithm)
    return key ? [{ userId, deviceId, ...key }] : []
  } catch (error) {
    if (error instanceof MatrixError) return []
    throw error
  }
}

/** What a client is told of a server that gave no answer. */
function toFailure(error: unknown): JsonObject {
  if (!(error instanceof FederationError)) throw error
  const status = error.kind === 'refused' ? (error.status ?? 502) : 503
  return { status, message: error.message }
}
