import { LRUCache } from 'lru-cache'
import type {
  AuthenticationServiceClient,
  IntrospectedToken,
} from '../../net/clients/authentication-service-client.js'
import { MatrixError, unknownToken } from '../../protocol/errors.js'
import { userIdOf, type DeviceId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { DevicesStore } from '../../storage/stores/devices.js'
import type { UserRecord, UsersStore } from '../../storage/stores/users.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import { upTo } from '../../util/lru-bounds.js'
import { SingleFlight } from '../../util/single-flight.js'
import type { SightingSink } from './access-tokens.js'
import { RequesterCache, type KnownToken } from './requester-cache.js'
import type { Authenticator, ClientInfo, Requester } from './requester.js'
import { hashToken } from './token-format.js'

export interface DelegatedTokensDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly users: Pick<UsersStore, 'get'>
  readonly devices: Pick<DevicesStore, 'get'>
  readonly client: Pick<AuthenticationServiceClient, 'introspect'>
  readonly sightings: SightingSink
  readonly logger: Pick<Logger, 'info' | 'warn'>
  readonly serverName: ServerName
  /** Entries in the cache of requesters. */
  readonly cacheSize: number
}

interface CachedToken extends KnownToken {
  /** Undefined: until it is ended. */
  readonly validUntilTs: number | undefined
  /** When the service is to be asked again. */
  readonly askAgainTs: number
}

interface Refusal {
  readonly untilTs: number
  readonly generation: number
}

/** As Synapse has it. The end of a session ends its device, which is noticed at once. */
const KNOWN_FOR_MS = 2 * 60_000
/** Short: somebody may be let in again. */
const REFUSED_FOR_MS = 10_000
const MAX_REFUSALS = 10_000
/** Tokens that are asked about at the same time. */
const MAX_QUESTIONS = 500
const MAX_DEVICE_ID_LENGTH = 255

/** https://spec.matrix.org/latest/client-server-api/#allocated-scope-tokens, and as they were proposed */
const API_SCOPES = ['urn:matrix:client:api:*', 'urn:matrix:org.matrix.msc2967.client:api:*']
const DEVICE_SCOPES = ['urn:matrix:client:device:', 'urn:matrix:org.matrix.msc2967.client:device:']
const ADMIN_SCOPE = 'urn:synapse:admin:*'

/** Who holds an access token that an authentication service has issued. */
export class DelegatedTokens implements Authenticator {
  readonly #deps: DelegatedTokensDependencies
  readonly #cache: RequesterCache<CachedToken>
  /** Tokens that are none, by their hashes: clients keep trying. */
  readonly #refusals = new LRUCache<string, Refusal>(upTo(MAX_REFUSALS))
  readonly #questions = new SingleFlight<CachedToken>()
  #isFailing = false

  constructor(deps: DelegatedTokensDependencies) {
    this.#deps = deps
    this.#cache = new RequesterCache(deps.cacheSize)
  }

  /**
   * Who makes a request with this token. Throws `M_UNKNOWN_TOKEN` for tokens that are none, are not for this API, or
   * whose device is gone; 503 `M_UNKNOWN` where the service cannot be asked, 500 where what it says makes no sense: never
   * what would make a client forget its session. Locked users are returned.
   */
  async authenticate(token: string, client: ClientInfo): Promise<Requester> {
    const hash = hashToken(token)
    const { clock } = this.#deps
    const cached = this.#cache.get(hash)
    const isKnown = cached !== undefined && clock.now() < cached.askAgainTs
    const { validUntilTs, requester } = isKnown ? cached : await this.#ask(hash, token)
    if (validUntilTs !== undefined && validUntilTs <= clock.now()) throw unknownToken({ softLogout: true })
    this.#deps.sightings.record(requester, client)
    return requester
  }

  /** What is known of the user's tokens is asked again. */
  forgetUser(userId: UserId): void {
    this.#cache.forgetUser(userId)
  }

  #ask(hash: string, token: string): Promise<CachedToken> {
    const refusal = this.#refusals.get(hash)
    const isRefused =
      refusal !== undefined &&
      refusal.untilTs > this.#deps.clock.now() &&
      refusal.generation === this.#cache.generation
    if (isRefused) throw unknownToken()
    // The same token is asked about once, so this bounds what strangers with tokens of their own invention can begin.
    if (this.#questions.size >= MAX_QUESTIONS && this.#questions.peek(hash) === undefined) throw unavailable()
    return this.#questions.run(hash, () => this.#introspect(hash, token))
  }

  async #introspect(hash: string, token: string): Promise<CachedToken> {
    const generation = this.#cache.generation
    const introspected = await this.#question(token)
    const now = this.#deps.clock.now()
    if (!introspected.isActive || !API_SCOPES.some((scope) => introspected.scope.has(scope))) {
      this.#refusals.set(hash, { untilTs: now + REFUSED_FOR_MS, generation })
      throw unknownToken()
    }
    const { expiresInMs, scope } = introspected
    const known: CachedToken = {
      requester: await this.#requesterOf(introspected, { isAdmin: scope.has(ADMIN_SCOPE), hash }),
      validUntilTs: expiresInMs === undefined ? undefined : now + expiresInMs,
      askAgainTs: now + KNOWN_FOR_MS,
    }
    this.#cache.remember(hash, known, generation)
    return known
  }

  async #question(token: string): Promise<IntrospectedToken> {
    const { client, logger } = this.#deps
    try {
      const introspected = await client.introspect(token)
      if (this.#isFailing) logger.info('The authentication service answers again')
      this.#isFailing = false
      return introspected
    } catch (err) {
      // Once, not for every request.
      if (!this.#isFailing) logger.warn({ err }, 'The authentication service cannot be asked about tokens')
      this.#isFailing = true
      throw unavailable()
    }
  }

  /** The user and the device are there before the service hands out tokens for them. */
  async #requesterOf(introspected: IntrospectedToken, token: TokenFacts): Promise<Requester> {
    const { db, users, devices } = this.#deps
    const userId = this.#userIdOf(introspected.username)
    const deviceId = deviceOf(introspected)
    const { user, device } = await db.read('introspected_token', async (q) => ({
      user: await users.get(q, userId),
      device: deviceId === undefined ? undefined : await devices.get(q, userId, deviceId),
    }))
    if (user === undefined) throw senseless('The user of the access token was not found')
    // Nobody else ends a session so quickly: the service deletes its device.
    const isOver = deviceId !== undefined && device === undefined
    if (isOver || user.isDeactivated || user.isGuest) throw unknownToken()
    return toRequester(user, device?.deviceId, token)
  }

  #userIdOf(username: string | undefined): UserId {
    // A name with a colon would read as somebody of another server.
    if (username === undefined || username === '' || /[:\0\p{Cs}]/u.test(username)) {
      throw senseless('The access token is for no user')
    }
    return userIdOf(username, this.#deps.serverName)
  }
}

interface TokenFacts {
  readonly isAdmin: boolean
  readonly hash: string
}

function toRequester(
  user: UserRecord,
  deviceId: DeviceId | undefined,
  { isAdmin, hash }: TokenFacts,
): Requester {
  return {
    userId: user.userId,
    deviceId,
    isGuest: false,
    // As the token says: the account of an administrator may have tokens that are for less.
    isAdmin,
    isShadowBanned: user.isShadowBanned,
    isSuspended: user.isSuspended,
    isLocked: user.isLocked,
    tokenId: undefined,
    ...(deviceId === undefined && { tokenHash: hash }),
    appserviceId: undefined,
  }
}

/** Named by itself, or else by the scope, in which only one may be. */
function deviceOf({ deviceId, scope }: IntrospectedToken): string | undefined {
  const named = new Set(deviceId === undefined ? [...scope].flatMap(deviceOfScope) : [deviceId])
  if (named.size > 1) throw senseless('The access token is for several devices')
  const [only] = named
  if (only !== undefined && (only === '' || only.length > MAX_DEVICE_ID_LENGTH || /[\0\p{Cs}]/u.test(only))) {
    throw senseless('The access token is for something that is no device')
  }
  return only
}

function deviceOfScope(token: string): string[] {
  const prefix = DEVICE_SCOPES.find((known) => token.startsWith(known))
  return prefix === undefined ? [] : [token.slice(prefix.length)]
}

function unavailable(): MatrixError {
  return new MatrixError('M_UNKNOWN', 'Unable to introspect the access token', { status: 503 })
}

function senseless(message: string): MatrixError {
  return new MatrixError('M_UNKNOWN', message, { status: 500 })
}
