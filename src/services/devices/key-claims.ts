import type { DeviceAddress } from '../../protocol/device-keys.js'
import { badJson, invalidParam } from '../../protocol/errors.js'
import { parseUserId, serverNameOf, type DeviceId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { ClaimedKey, E2eKeysStore } from '../../storage/stores/e2e-keys.js'
import { Batcher } from '../../util/batcher.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { groupBy, pushTo } from '../../util/group-by.js'
import { failuresOf } from './key-queries.js'
import type { RemoteKeys } from './remote-keys.js'

export interface KeyClaimsDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly e2eKeys: E2eKeysStore
  /** Without it, other servers cannot be asked. */
  readonly remoteKeys?: Pick<RemoteKeys, 'claim'> | undefined
  readonly serverName: ServerName
}

interface KeyWish extends DeviceAddress {
  readonly algorithm: string
}

/** One request: what it wants, and what it has been given when its batch is done. */
interface Claim {
  readonly wishes: readonly KeyWish[]
  keys: readonly ClaimedKey[]
}

/** Devices named by one request. */
const MAX_WISHES = 10_000
/** Requests that share a transaction. */
const MAX_BATCH = 50

/**
 * Hands out one-time keys: each once, whoever asks at the same time. Requests that come together share a transaction,
 * so that they do not wait for or refuse each other.
 * https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3keysclaim
 */
export class KeyClaims {
  readonly #deps: KeyClaimsDependencies
  readonly #batcher: Batcher<Claim>

  constructor(deps: KeyClaimsDependencies) {
    this.#deps = deps
    this.#batcher = new Batcher((claims) => this.#serve(claims), { maxItems: MAX_BATCH })
  }

  /**
   * A key of each device, the fallback key where there are no others: the body of the answer. They are handed out when
   * this resolves, also if the answer is lost. Servers that cannot be asked are under `failures`, also those that take
   * longer than `timeoutMs`. `wanted`: of the request, algorithms by user and device. Throws `M_BAD_JSON`,
   * `M_INVALID_PARAM`.
   */
  async claim(wanted: JsonObject, options: { timeoutMs?: number | undefined } = {}): Promise<JsonObject> {
    const wishes = parseWishes(wanted)
    const remote = wishes.filter((wish) => !this.#isLocal(wish))
    const [own, others] = await Promise.all([
      this.#claimLocal(wishes.filter((wish) => this.#isLocal(wish))),
      this.#claimRemote(remote, options.timeoutMs),
    ])
    return { one_time_keys: keysJson([...own, ...others.keys]), failures: others.failures }
  }

  /**
   * As `claim`, for another server: of its own users it is not asked. Throws as `claim`.
   * https://spec.matrix.org/latest/server-server-api/#post_matrixfederationv1userkeysclaim
   */
  async claimForServer(wanted: JsonObject): Promise<JsonObject> {
    const wishes = parseWishes(wanted).filter((wish) => this.#isLocal(wish))
    return { one_time_keys: keysJson(await this.#claimLocal(wishes)) }
  }

  #isLocal({ userId }: KeyWish): boolean {
    return serverNameOf(userId) === this.#deps.serverName
  }

  async #claimLocal(wishes: readonly KeyWish[]): Promise<readonly ClaimedKey[]> {
    const claim: Claim = { wishes, keys: [] }
    if (wishes.length > 0) await this.#batcher.add(claim)
    return claim.keys
  }

  async #claimRemote(
    wishes: readonly KeyWish[],
    timeoutMs: number | undefined,
  ): Promise<{ keys: readonly ClaimedKey[]; failures: JsonObject }> {
    if (wishes.length === 0) return { keys: [], failures: {} }
    const { remoteKeys } = this.#deps
    if (remoteKeys === undefined)
      return { keys: [], failures: failuresOf(wishes.map(({ userId }) => userId)) }
    return remoteKeys.claim(wishes, { timeoutMs })
  }

  async #serve(claims: readonly Claim[]): Promise<void> {
    const given = await this.#deps.db.write('claim_keys', (tx) => this.#giveIn(tx, claims))
    claims.forEach((claim, index) => {
      claim.keys = given[index] ?? []
    })
  }

  async #giveIn(tx: Tx, claims: readonly Claim[]): Promise<ClaimedKey[][]> {
    const { e2eKeys, clock } = this.#deps
    const wanted = new Map<string, KeyWish & { amount: number }>()
    for (const wish of claims.flatMap(({ wishes }) => wishes)) {
      const known = wanted.get(kindOf(wish))
      if (known === undefined) wanted.set(kindOf(wish), { ...wish, amount: 1 })
      else known.amount += 1
    }
    const oneTime = groupBy(await e2eKeys.claim(tx, [...wanted.values()], clock.now()), kindOf)
    const short = [...wanted.values()].filter(
      (wish) => (oneTime.get(kindOf(wish))?.length ?? 0) < wish.amount,
    )
    const fallback = groupBy(await e2eKeys.useFallbackKeys(tx, short), kindOf)
    return claims.map(({ wishes }) =>
      wishes.flatMap((wish) => oneTime.get(kindOf(wish))?.shift() ?? fallback.get(kindOf(wish)) ?? []),
    )
  }
}

function parseWishes(wanted: JsonObject): KeyWish[] {
  const wishes: KeyWish[] = []
  for (const [user, devices] of Object.entries(wanted)) {
    const userId = parseUserId(user)
    if (userId === undefined) throw invalidParam(`Not a user ID: ${user.slice(0, 255)}`)
    if (!isJsonObject(devices)) throw badJson('What is wanted of a user are algorithms by device')
    for (const [deviceId, algorithm] of Object.entries(devices)) {
      if (typeof algorithm !== 'string') throw badJson('An algorithm is a text')
      wishes.push({ userId, deviceId: deviceId as DeviceId, algorithm })
    }
    if (wishes.length > MAX_WISHES) throw invalidParam(`A request may name ${MAX_WISHES} devices`)
  }
  return wishes
}

/** Users and devices without a key are left out. */
function keysJson(keys: readonly ClaimedKey[]): JsonObject {
  const byUser = new Map<UserId, [string, JsonObject][]>()
  for (const { userId, deviceId, algorithm, keyId, key } of keys) {
    const device: [string, JsonObject] = [deviceId, { [`${algorithm}:${keyId}`]: key }]
    pushTo(byUser, userId, device)
  }
  return Object.fromEntries([...byUser].map(([userId, devices]) => [userId, Object.fromEntries(devices)]))
}

function kindOf({ userId, deviceId, algorithm }: KeyWish): string {
  return `${userId}\u0000${deviceId}\u0000${algorithm}`
}
