import type { JWTPayload } from 'jose'
import { LRUCache } from 'lru-cache'
import type { UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { DeviceProviderSessionsStore } from '../../storage/stores/device-provider-sessions.js'
import type { ExternalIdsStore } from '../../storage/stores/external-ids.js'
import type { LoginTokensStore } from '../../storage/stores/login-tokens.js'
import type { Logger } from '../../telemetry/logger.js'
import { groupBy } from '../../util/group-by.js'
import { isJsonObject } from '../../util/json.js'
import { hashToken } from '../accounts/token-format.js'
import type { Devices } from '../devices/devices.js'
import type { OidcMetadata } from './oidc-metadata.js'
import type { OidcProvider } from './oidc-provider.js'
import { OidcTokenError } from './oidc-tokens.js'
import type { SignOn } from './sign-on.js'

export interface OidcLogoutsDependencies {
  readonly db: Database
  readonly providers: readonly OidcProvider[]
  readonly sessions: Pick<DeviceProviderSessionsStore, 'listForSession' | 'listForUser'>
  readonly externalIds: Pick<ExternalIdsStore, 'findOwner'>
  readonly devices: Pick<Devices, 'deleteIn'>
  readonly signOn: Pick<SignOn, 'forgetProviderSession'>
  readonly loginTokens: Pick<LoginTokensStore, 'deleteForUser'>
  readonly logger: Pick<Logger, 'info' | 'warn'>
}

/** A provider's word that somebody has logged out is not taken. The message says why. */
export class OidcLogoutError extends Error {
  override readonly name = 'OidcLogoutError'
}

/** What a logout token says: a session, a person, or both. */
interface Logout {
  readonly session: string | undefined
  readonly subject: string | undefined
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
/** A token that is older is not taken, whatever it says of itself. */
const MAX_AGE_S = 10 * 60
const MAX_REMEMBERED = 10_000

/**
 * Logs devices out when the session at a provider is over in which their users have signed on.
 * https://openid.net/specs/openid-connect-backchannel-1_0.html
 */
export class OidcLogouts {
  readonly #deps: OidcLogoutsDependencies
  /** Tokens that have been used, for as long as they could be used again. */
  readonly #used = new LRUCache<string, true>({ max: MAX_REMEMBERED })

  constructor(deps: OidcLogoutsDependencies) {
    this.#deps = deps
  }

  /** Takes a logout token. Rejects with an `OidcLogoutError`; then nobody is logged out. */
  async take(token: string): Promise<void> {
    const claimed = await readUnverified(token)
    const { provider, metadata } = await this.#providerOf(claimed)
    if (!provider.config.logout.isServed) {
      this.#deps.logger.warn({ provider: provider.id }, 'A provider logs people out, which is not enabled')
      throw new OidcLogoutError('Back-channel logout is disabled for this provider')
    }
    const claims = await this.#verify(token, provider, metadata)
    const logout = checkLogout(claims)
    const key = hashToken(`${provider.id} ${typeof claims.jti === 'string' ? claims.jti : token}`)
    if (this.#used.has(key)) throw new OidcLogoutError('The logout token has been used already')
    await this.#logOut(provider, logout)
    this.#used.set(key, true)
  }

  /** Whom the token says that it comes from; nothing of it is believed before its signature is verified. */
  async #providerOf(claims: JWTPayload): Promise<{ provider: OidcProvider; metadata: OidcMetadata }> {
    const audience = [claims.aud ?? []].flat()
    for (const provider of this.#deps.providers) {
      if (!audience.includes(provider.config.clientId)) continue
      const metadata = await provider.metadata.get().catch(() => undefined)
      if (metadata !== undefined && metadata.issuer === claims.iss) return { provider, metadata }
    }
    throw new OidcLogoutError('The logout token comes from no provider that is known')
  }

  async #verify(token: string, provider: OidcProvider, metadata: OidcMetadata): Promise<JWTPayload> {
    try {
      const { claims } = await provider.tokens.verify(token, metadata, {
        issuer: metadata.issuer,
        audience: provider.config.clientId,
        requiredClaims: ['iat', 'events'],
        maxTokenAge: MAX_AGE_S,
      })
      return claims
    } catch (err) {
      this.#deps.logger.warn(
        { problem: (err as Error).message, provider: provider.id },
        'A logout token is not good',
      )
      throw new OidcLogoutError(
        err instanceof OidcTokenError
          ? `The logout token is not good: ${err.message}`
          : 'Its keys cannot be read',
      )
    }
  }

  async #logOut(provider: OidcProvider, { session, subject }: Logout): Promise<void> {
    const { db, devices, logger } = this.#deps
    const ignores = provider.config.logout.ignoresSubject
    if (session === undefined && ignores) throw new OidcLogoutError('The logout token names no session')
    await db.write('log_out_by_provider', async (tx) => {
      const userId =
        subject === undefined || ignores
          ? undefined
          : await this.#deps.externalIds.findOwner(tx, { authProvider: provider.id, externalId: subject })
      for (const [owner, own] of groupBy(
        await this.#devicesOf(tx, provider, session, userId),
        (d) => d.userId,
      )) {
        const ids = own.map(({ deviceId }) => deviceId)
        await devices.deleteIn(tx, owner, ids)
        tx.afterCommit(() =>
          logger.info(
            { userId: owner, devices: ids.length, provider: provider.id },
            'Logged out by a provider',
          ),
        )
      }
    })
  }

  async #devicesOf(
    tx: Tx,
    { id: provider }: OidcProvider,
    session: string | undefined,
    userId: UserId | undefined,
  ) {
    const { sessions, signOn, loginTokens } = this.#deps
    if (session !== undefined) {
      await signOn.forgetProviderSession(tx, provider, session)
      return sessions.listForSession(tx, { provider, providerSession: session }, userId)
    }
    // Of a person who is not known here there is nothing to end.
    if (userId === undefined) return []
    // Whoever is about to log in has signed on before.
    await loginTokens.deleteForUser(tx, userId)
    return sessions.listForUser(tx, userId, provider)
  }
}

async function readUnverified(token: string): Promise<JWTPayload> {
  const { decodeJwt } = await import('jose')
  let claims: JWTPayload
  try {
    claims = decodeJwt(token)
  } catch {
    throw new OidcLogoutError('The logout token cannot be read')
  }
  return claims
}

/** https://openid.net/specs/openid-connect-backchannel-1_0.html#Validation */
function checkLogout({ sid, sub, events, nonce }: JWTPayload): Logout {
  if (!isJsonObject(events) || !isJsonObject(events[EVENT])) {
    throw new OidcLogoutError('The logout token is no logout token')
  }
  // ID tokens have one, and are none.
  if (nonce !== undefined) throw new OidcLogoutError('The logout token has a nonce')
  const session = textOf(sid)
  const subject = textOf(sub)
  if (session === undefined && subject === undefined) {
    throw new OidcLogoutError('The logout token names neither a session nor a person')
  }
  return { session, subject }
}

function textOf(value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value === '' || value.includes('\0')) {
    throw new OidcLogoutError('The logout token names nobody')
  }
  return value
}
