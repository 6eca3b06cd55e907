import { forbidden } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { OpenIdTokensStore } from '../../storage/stores/openid-tokens.js'
import type { Clock } from '../../util/clock.js'
import { randomString } from '../../util/random.js'
import type { Requester } from './requester.js'
import { hashToken } from './token-format.js'

export interface OpenIdTokensDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly openIdTokens: OpenIdTokensStore
}

/** What a user hands to another service. */
export interface OpenIdToken {
  readonly token: string
  readonly expiresInMs: number
}

const LIFETIME_MS = 60 * 60_000
const TOKEN_LENGTH = 32

/**
 * Tokens with which users prove to other services who they are: good for that alone, and not for calling the
 * client-server API. https://spec.matrix.org/latest/client-server-api/#openid
 */
export class OpenIdTokens {
  readonly #deps: OpenIdTokensDependencies

  constructor(deps: OpenIdTokensDependencies) {
    this.#deps = deps
  }

  /** A new token of a user, who must be the requester: `M_FORBIDDEN` otherwise. */
  async issue(requester: Requester, userId: UserId): Promise<OpenIdToken> {
    if (requester.userId !== userId) throw forbidden('Cannot request tokens for other users.')
    const { db, clock, openIdTokens } = this.#deps
    const token = randomString(TOKEN_LENGTH)
    const expiryTs = clock.now() + LIFETIME_MS
    await db.write('issue_openid_token', (tx) =>
      openIdTokens.insert(tx, { tokenHash: hashToken(token), userId, expiryTs }),
    )
    return { token, expiresInMs: LIFETIME_MS }
  }

  /**
   * Whose token it is; undefined for tokens that are unknown, have expired or belong to accounts that have ended.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1openiduserinfo
   */
  async userOf(token: string): Promise<UserId | undefined> {
    const { db, clock, openIdTokens } = this.#deps
    return openIdTokens.findOwner(db.reader, hashToken(token), clock.now())
  }
}
