import { unknownToken } from '../../protocol/errors.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { AccessTokenRecord, AccessTokensStore } from '../../storage/stores/access-tokens.js'
import type { RefreshTokensStore } from '../../storage/stores/refresh-tokens.js'
import type { Clock } from '../../util/clock.js'
import type { TokenRevoker } from '../devices/devices.js'
import { RequesterCache, type KnownToken } from './requester-cache.js'
import type { Authenticator, ClientInfo, Requester } from './requester.js'
import { hashToken } from './token-format.js'

/** Told of every authenticated request; it must be quick. */
export interface SightingSink {
  record(requester: Pick<Requester, 'userId' | 'deviceId'>, client: ClientInfo): void
}

export interface AccessTokensDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly accessTokens: AccessTokensStore
  readonly refreshTokens: RefreshTokensStore
  readonly sightings: SightingSink
  /** `track_puppeted_user_ips`: where an administrator acts as a user, both are seen. */
  readonly tracksPuppets?: boolean
  /** Told of users of whom nothing that is known of their tokens need hold any more. */
  readonly onForgotten?: (userId: UserId) => void
  /** Entries in the cache of requesters. */
  readonly cacheSize: number
}

interface CachedToken extends KnownToken {
  /** The administrator who acts as the user. */
  readonly puppetedBy: UserId | undefined
  readonly validUntilTs: number | undefined
}

/** Who holds an access token, and the end of tokens. */
export class AccessTokens implements Authenticator, TokenRevoker {
  readonly #deps: AccessTokensDependencies
  readonly #cache: RequesterCache<CachedToken>

  constructor(deps: AccessTokensDependencies) {
    this.#deps = deps
    this.#cache = new RequesterCache(deps.cacheSize)
  }

  /**
   * Who makes a request with this token. The first use of a token that came of a refresh ends the tokens it replaces.
   * Throws `M_UNKNOWN_TOKEN`, with `soft_logout: true` when the token has only expired. Locked users are returned: the
   * caller decides what they may do.
   * https://spec.matrix.org/latest/client-server-api/#using-access-tokens
   */
  async authenticate(token: string, client: ClientInfo): Promise<Requester> {
    const hash = hashToken(token)
    const entry = this.#cache.get(hash) ?? (await this.#load(hash))
    if (entry === undefined) throw unknownToken()
    if (this.#isExpired(entry.validUntilTs)) throw unknownToken({ softLogout: true })
    this.#noteSighting(entry, client)
    return entry.requester
  }

  /** The addresses of administrators who act as a user are not the user's. */
  #noteSighting({ requester, puppetedBy }: CachedToken, client: ClientInfo): void {
    const { sightings, tracksPuppets } = this.#deps
    if (puppetedBy !== undefined) {
      sightings.record({ userId: puppetedBy, deviceId: requester.deviceId }, client)
      if (tracksPuppets !== true) return
    }
    sightings.record(requester, client)
  }

  /** Ends the token of this request; its device, if it has one, is the caller's to delete. */
  async revoke(tx: Tx, requester: Requester): Promise<void> {
    if (requester.tokenId !== undefined) await this.#deps.accessTokens.delete(tx, requester.tokenId)
    this.forgetUser(tx, requester.userId)
  }

  /** Ends all access and refresh tokens of these devices. */
  async revokeForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    await Promise.all([
      this.#deps.accessTokens.deleteForDevices(tx, userId, deviceIds),
      this.#deps.refreshTokens.deleteForDevices(tx, userId, deviceIds),
    ])
    this.forgetUser(tx, userId)
  }

  /** Ends all tokens of a user, but for those of `except`: the session that asks for it. */
  async revokeForUser(tx: Tx, userId: UserId, except?: Requester): Promise<void> {
    await Promise.all([
      this.#deps.accessTokens.deleteForUser(tx, userId, { exceptId: except?.tokenId }),
      this.#deps.refreshTokens.deleteForUser(tx, userId, { exceptDeviceId: except?.deviceId }),
    ])
    this.forgetUser(tx, userId)
  }

  /** After the commit, what is known of the user's tokens is read again: for whoever changes the flags of a user. */
  forgetUser(tx: Tx, userId: UserId): void {
    tx.afterCommit(() => {
      this.#cache.forgetUser(userId)
      this.#deps.onForgotten?.(userId)
    })
  }

  async #load(hash: string): Promise<CachedToken | undefined> {
    const readAt = this.#cache.generation
    let record = await this.#deps.accessTokens.find(this.#deps.db.reader, hash)
    if (record === undefined || record.user.isDeactivated) return undefined
    const isFirstUse = record.refreshTokenId !== undefined && !record.isUsed
    if (isFirstUse && !this.#isExpired(record.validUntilTs)) record = await this.#markUsed(hash)
    if (record === undefined) return undefined
    const { validUntilTs, puppetedBy } = record
    const entry = { requester: toRequester(record), validUntilTs, puppetedBy }
    this.#cache.remember(hash, entry, readAt)
    return entry
  }

  /**
   * "The old refresh token remains valid until the new access token or refresh token is used."
   * https://spec.matrix.org/latest/client-server-api/#refreshing-access-tokens
   */
  async #markUsed(hash: string): Promise<AccessTokenRecord | undefined> {
    const { accessTokens, refreshTokens } = this.#deps
    return this.#deps.db.write('first_use_of_token', async (tx) => {
      const record = await accessTokens.find(tx, hash)
      if (record?.refreshTokenId === undefined || record.isUsed) return record
      await accessTokens.markUsed(tx, record.id)
      const replaced = await refreshTokens.deletePredecessors(tx, record.refreshTokenId)
      if (replaced.length > 0) {
        await accessTokens.deleteByRefreshTokens(tx, replaced)
        this.forgetUser(tx, record.userId)
      }
      return record
    })
  }

  #isExpired(validUntilTs: number | undefined): boolean {
    return validUntilTs !== undefined && validUntilTs <= this.#deps.clock.now()
  }
}

function toRequester(record: AccessTokenRecord): Requester {
  return {
    userId: record.userId,
    deviceId: record.deviceId,
    isGuest: record.user.isGuest,
    isAdmin: record.user.isAdmin,
    isShadowBanned: record.user.isShadowBanned,
    isSuspended: record.user.isSuspended,
    isLocked: record.user.isLocked,
    tokenId: record.id,
    appserviceId: undefined,
  }
}
