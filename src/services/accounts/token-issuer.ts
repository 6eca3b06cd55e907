import { unknownToken, userLocked } from '../../protocol/errors.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { AccessTokensStore } from '../../storage/stores/access-tokens.js'
import type { RefreshTokenRecord, RefreshTokensStore } from '../../storage/stores/refresh-tokens.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { Clock } from '../../util/clock.js'
import type { AccessTokens } from './access-tokens.js'
import { hashToken, makeToken } from './token-format.js'

/** How long tokens live; undefined: for ever. */
export interface TokenLifetimes {
  /** `session_lifetime`: a whole login, however often it is refreshed. */
  readonly sessionMs: number | undefined
  /** `refreshable_access_token_lifetime`. */
  readonly refreshableAccessTokenMs: number | undefined
  /** `refresh_token_lifetime`: of a refresh token that is not used. */
  readonly refreshTokenMs: number | undefined
  /** `nonrefreshable_access_token_lifetime`. */
  readonly nonrefreshableAccessTokenMs: number | undefined
}

/** What a client gets; the fields that do not apply are absent. */
export interface IssuedTokens {
  readonly accessToken: string
  readonly refreshToken: string | undefined
  /** How long the access token is good for. */
  readonly expiresInMs: number | undefined
}

export interface TokenRequest {
  readonly userId: UserId
  readonly deviceId: DeviceId
  readonly isGuest?: boolean
  /** The client can refresh tokens. */
  readonly refreshable?: boolean
}

export interface TokenIssuerDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly users: UsersStore
  readonly accessTokens: AccessTokensStore
  readonly refreshTokens: RefreshTokensStore
  readonly authenticator: Pick<AccessTokens, 'forgetUser'>
  readonly lifetimes: TokenLifetimes
}

/** Makes access and refresh tokens. */
export class TokenIssuer {
  readonly #deps: TokenIssuerDependencies

  constructor(deps: TokenIssuerDependencies) {
    this.#deps = deps
  }

  /** Tokens for a device that has just logged in. Those of guests do not expire. */
  async issue(tx: Tx, request: TokenRequest): Promise<IssuedTokens> {
    const { lifetimes, clock } = this.#deps
    const now = clock.now()
    const sessionExpiryTs = request.isGuest ? undefined : after(now, lifetimes.sessionMs)
    if (request.refreshable && !request.isGuest) {
      return this.#issuePair(tx, { ...request, sessionExpiryTs })
    }
    const validUntilTs = request.isGuest
      ? undefined
      : earliest(after(now, lifetimes.nonrefreshableAccessTokenMs), sessionExpiryTs)
    const accessToken = makeToken('access', request.userId)
    await this.#deps.accessTokens.insert(tx, {
      tokenHash: hashToken(accessToken),
      userId: request.userId,
      deviceId: request.deviceId,
      createdTs: now,
      validUntilTs,
    })
    return { accessToken, refreshToken: undefined, expiresInMs: remaining(validUntilTs, now) }
  }

  /** A token without a device with which an administrator acts as a user; with an end of its own, if any. */
  async issuePuppetToken(
    tx: Tx,
    request: { userId: UserId; puppetedBy: UserId; validUntilTs: number | undefined },
  ): Promise<string> {
    const accessToken = makeToken('access', request.userId)
    await this.#deps.accessTokens.insert(tx, {
      tokenHash: hashToken(accessToken),
      deviceId: undefined,
      createdTs: this.#deps.clock.now(),
      ...request,
    })
    return accessToken
  }

  /**
   * Exchanges a refresh token for a new pair. It may be repeated until one of the new tokens is used; each repetition
   * replaces the pair before. Throws `M_UNKNOWN_TOKEN`, with `soft_logout: true` when the token has only expired,
   * and `M_USER_LOCKED`.
   * https://spec.matrix.org/latest/client-server-api/#refreshing-access-tokens
   */
  async refresh(refreshToken: string): Promise<IssuedTokens> {
    const tokenHash = hashToken(refreshToken)
    return this.#deps.db.write('refresh_token', async (tx) => {
      const now = this.#deps.clock.now()
      const old = await this.#deps.refreshTokens.find(tx, tokenHash)
      if (old === undefined) throw unknownToken()
      const expiryTs = earliest(old.expiryTs, old.sessionExpiryTs)
      if (expiryTs !== undefined && expiryTs <= now) throw unknownToken({ softLogout: true })
      await this.#checkUser(tx, old.userId)
      await this.#endNeighbours(tx, old)
      return this.#issuePair(tx, { ...old, replaces: old })
    })
  }

  async #checkUser(tx: Tx, userId: UserId): Promise<void> {
    const user = await this.#deps.users.get(tx, userId)
    if (user === undefined || user.isDeactivated) throw unknownToken()
    if (user.isLocked) throw userLocked()
  }

  /** What the token replaced is over, now that it is used; what replaced it was never used, or it would not be here. */
  async #endNeighbours(tx: Tx, token: RefreshTokenRecord): Promise<void> {
    const { accessTokens, refreshTokens, authenticator } = this.#deps
    const ended = await refreshTokens.deletePredecessors(tx, token.id)
    if (token.nextTokenId !== undefined) {
      ended.push(token.nextTokenId)
      await refreshTokens.delete(tx, token.nextTokenId)
    }
    await accessTokens.deleteByRefreshTokens(tx, ended)
    authenticator.forgetUser(tx, token.userId)
  }

  async #issuePair(
    tx: Tx,
    request: {
      userId: UserId
      deviceId: DeviceId
      sessionExpiryTs: number | undefined
      replaces?: RefreshTokenRecord
    },
  ): Promise<IssuedTokens> {
    const { accessTokens, refreshTokens, lifetimes, clock } = this.#deps
    const now = clock.now()
    const { userId, deviceId, sessionExpiryTs } = request
    const refreshToken = makeToken('refresh', userId)
    const refreshTokenId = await refreshTokens.insert(tx, {
      tokenHash: hashToken(refreshToken),
      userId,
      deviceId,
      expiryTs: after(now, lifetimes.refreshTokenMs),
      sessionExpiryTs,
    })
    if (request.replaces !== undefined) await refreshTokens.setNext(tx, request.replaces.id, refreshTokenId)
    const accessToken = makeToken('access', userId)
    const validUntilTs = earliest(after(now, lifetimes.refreshableAccessTokenMs), sessionExpiryTs)
    await accessTokens.insert(tx, {
      tokenHash: hashToken(accessToken),
      userId,
      deviceId,
      createdTs: now,
      validUntilTs,
      refreshTokenId,
    })
    return { accessToken, refreshToken, expiresInMs: remaining(validUntilTs, now) }
  }
}

function after(now: number, durationMs: number | undefined): number | undefined {
  return durationMs === undefined ? undefined : now + durationMs
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return Math.min(a, b)
}

function remaining(untilTs: number | undefined, now: number): number | undefined {
  return untilTs === undefined ? undefined : untilTs - now
}
