import { notFound, type MatrixError } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { ExternalIdsStore } from '../../storage/stores/external-ids.js'
import type { LoginTokensStore } from '../../storage/stores/login-tokens.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { JsonObject } from '../../util/json.js'
import { randomToken } from '../../util/random.js'
import type { LoginFlow } from '../accounts/login.js'
import type { UiAuth } from '../accounts/ui-auth.js'
import { SIGN_ON_STAGE } from '../accounts/ui-auth-stages.js'
import { parseRedirectUrl } from './client-redirects.js'
import type { ClientReturns } from './client-returns.js'
import { cleanIdentity } from './external-identity.js'
import type { BeginContext, ExternalIdentity, IdentityProvider, SignOnPurpose } from './identity-provider.js'
import type { Newcomers } from './newcomers.js'
import { describeOperation } from './operation-descriptions.js'
import { sendTo, show, type SignOnAnswer, type SignOnCookie } from './sign-on-answer.js'
import type { SignOnAccounts } from './sign-on-accounts.js'
import { ATTEMPT_LIFETIME_MS, type SignOnAttempts } from './sign-on-attempts.js'
import { badSession, SignOnFailure } from './sign-on-failure.js'
import type { SignOnPages } from './sign-on-pages.js'

export interface SignOnDependencies {
  readonly db: Database
  /** In the order in which people see them. */
  readonly providers: readonly IdentityProvider[]
  readonly attempts: SignOnAttempts
  readonly accounts: SignOnAccounts
  readonly newcomers: Newcomers
  readonly returns: ClientReturns
  readonly pages: SignOnPages
  readonly users: Pick<UsersStore, 'get'>
  readonly externalIds: Pick<ExternalIdsStore, 'list'>
  readonly loginTokens: Pick<LoginTokensStore, 'deleteForProviderSession'>
  readonly uiAuth: Pick<UiAuth, 'completeElsewhere' | 'find'>
  readonly options: SignOnOptions
}

export interface SignOnOptions {
  /** Where browsers come back to. */
  readonly publicBaseUrl: string
  /** The older type of login is offered, too, for clients that know no other. */
  readonly offersCas: boolean
  /** `sso.update_profile_information`. */
  readonly updatesProfiles: boolean
  /** Passwords may be used to confirm who one is. */
  readonly passwordReauth: boolean
}

/** From where somebody begins to sign on. */
export interface SignOnRequest {
  /** What the browser keeps of earlier attempts. */
  readonly browser: string | undefined
  readonly address: string
  readonly isBrowser: boolean
  readonly query: ReadonlyMap<string, string>
  readonly action?: BeginContext['action']
}

/** An attempt whose answer has come. */
export interface SignOnAttempt {
  readonly provider: IdentityProvider
  readonly purpose: SignOnPurpose
  /** What the provider wanted to know again. */
  readonly memory: Readonly<JsonObject>
}

const BROWSER = /^[A-Za-z]{36}$/

/**
 * Single sign-on: people prove who they are at another service, and log in here with what it says.
 * https://spec.matrix.org/latest/client-server-api/#sso-client-loginauthentication
 */
export class SignOn {
  readonly #deps: SignOnDependencies

  constructor(deps: SignOnDependencies) {
    this.#deps = deps
  }

  get providers(): readonly IdentityProvider[] {
    return this.#deps.providers
  }

  get publicBaseUrl(): string {
    return this.#deps.options.publicBaseUrl
  }

  /** What `GET /login` offers: nothing where there is no service. */
  listFlows(): LoginFlow[] {
    const { providers, options } = this.#deps
    if (providers.length === 0) return []
    const identityProviders = providers.map(({ id, name, icon, brand }) => ({
      id,
      name,
      ...(icon !== undefined && { icon }),
      ...(brand !== undefined && { brand }),
    }))
    return [
      ...(options.offersCas ? [{ type: 'm.login.cas' }] : []),
      { type: SIGN_ON_STAGE, identity_providers: identityProviders },
    ]
  }

  /** The name of the cookie that binds attempts to a browser. Others than this server cannot set it. */
  get cookieName(): string {
    return this.#isSecure ? '__Host-mxhs_sign_on' : 'mxhs_sign_on'
  }

  /**
   * Sends somebody to the service that they or the client have chosen, to the only one, or to the page where they choose.
   * Throws `M_NOT_FOUND` where there is no such service, `M_MISSING_PARAM` and `M_INVALID_PARAM` for URLs to which nobody
   * is sent, `M_LIMIT_EXCEEDED`, and what the service's `begin` throws.
   */
  async begin(
    wish: { providerId: string | undefined; redirectUrl: string | undefined },
    request: SignOnRequest,
  ): Promise<SignOnAnswer> {
    const { providers } = this.#deps
    if (providers.length === 0) throw notOffered()
    const redirectUrl = parseRedirectUrl(wish.redirectUrl)
    const provider =
      wish.providerId === undefined && providers.length === 1
        ? providers[0]
        : providers.find(({ id }) => id === wish.providerId)
    if (provider !== undefined) {
      const { url, cookie } = await this.#send(provider, { kind: 'login', redirectUrl }, request)
      return sendTo(url, cookie)
    }
    if (wish.providerId !== undefined) throw notFound('There is no such identity provider')
    const action = request.action === undefined ? '' : `&action=${request.action}`
    return sendTo(`/_synapse/client/pick_idp?redirectUrl=${encodeURIComponent(redirectUrl)}${action}`)
  }

  /**
   * The page on which people choose a service, or the way to the one that they have chosen. Throws as `begin`, and
   * `unknown_idp`.
   */
  async pick(
    { providerId, redirectUrl }: { providerId: string | undefined; redirectUrl: string | undefined },
    request: SignOnRequest,
  ): Promise<SignOnAnswer> {
    const { providers, pages } = this.#deps
    if (providers.length === 0) throw notOffered()
    const url = parseRedirectUrl(redirectUrl)
    if (providerId === undefined) return pages.pick(providers, url, request.action)
    if (!providers.some(({ id }) => id === providerId)) {
      throw new SignOnFailure('unknown_idp', 'Unknown identity provider ID')
    }
    return this.begin({ providerId, redirectUrl: url }, request)
  }

  /**
   * The page that sends somebody to a service who has to prove who they are: one at which they are known. Throws
   * `M_NOT_FOUND` where the session has ended, or they are known nowhere.
   */
  async confirm(
    { sessionId, providerId }: { sessionId: string; providerId: string | undefined },
    request: SignOnRequest,
  ): Promise<SignOnAnswer> {
    const session = await this.#deps.uiAuth.find(sessionId)
    if (session.completed.includes(SIGN_ON_STAGE)) return this.#deps.pages.operationConfirmed()
    const known = session.userId === undefined ? [] : await this.#providersOf(session.userId)
    const provider = providerId === undefined ? known[0] : known.find(({ id }) => id === providerId)
    if (provider === undefined) throw notFound('You are known to no such service')
    const { url, cookie } = await this.#send(provider, { kind: 'confirm', sessionId }, request)
    const description = describeOperation(session)
    return show(await this.#deps.pages.confirmOperation({ redirectUrl: url, description, provider }), {
      cookie,
    })
  }

  /** The attempt of a browser to which this state was given, once. Throws `bad_session` where there is none. */
  async take(state: string, browser: string | undefined): Promise<SignOnAttempt> {
    const kept = await this.#deps.attempts.take(state, browser)
    const provider = this.#deps.providers.find(({ id }) => id === kept.provider)
    if (provider === undefined) throw badSession()
    return { provider, purpose: kept.purpose, memory: kept.memory }
  }

  /**
   * As `take`, for services whose answers name the purpose themselves. Browsers need a state of theirs; programs, which
   * keep no cookies, need none. Throws `M_INVALID_PARAM`, too, for URLs to which nobody is sent.
   */
  async takeFor(
    { provider, purpose }: Pick<SignOnAttempt, 'provider' | 'purpose'>,
    {
      state,
      browser,
      isBrowser,
    }: { state: string | undefined; browser: string | undefined; isBrowser: boolean },
  ): Promise<SignOnAttempt> {
    if (purpose.kind === 'login') parseRedirectUrl(purpose.redirectUrl)
    if (!isBrowser) return { provider, purpose, memory: {} }
    if (state === undefined) throw badSession()
    const attempt = await this.take(state, browser)
    if (attempt.provider !== provider || !isSamePurpose(attempt.purpose, purpose)) throw badSession()
    return attempt
  }

  /**
   * Somebody has signed on. Logs them in to their client, after asking newcomers what an account needs; or notes that
   * they have proven who they are. Throws `SignOnFailure` and `MatrixError` for those for whom that cannot be.
   */
  async complete(
    { provider, purpose }: Pick<SignOnAttempt, 'provider' | 'purpose'>,
    identity: ExternalIdentity,
  ): Promise<SignOnAnswer> {
    const cleaned = cleanIdentity(identity)
    return purpose.kind === 'confirm'
      ? this.#confirmed(provider, cleaned, purpose.sessionId)
      : this.#logIn(provider, cleaned, parseRedirectUrl(purpose.redirectUrl))
  }

  /** By which stages a user can confirm who they are. */
  async listStages(userId: UserId): Promise<string[]> {
    const { db, users, options } = this.#deps
    if ((await this.#providersOf(userId)).length === 0) return ['m.login.password']
    const user = await users.get(db.reader, userId)
    const hasPassword = options.passwordReauth && user?.passwordHash !== undefined
    return [...(hasPassword ? ['m.login.password'] : []), SIGN_ON_STAGE]
  }

  /** Forgets what is still open of those who have signed on in a session of the service that is over. */
  async forgetProviderSession(tx: Tx, providerId: string, providerSession: string): Promise<void> {
    await this.#deps.newcomers.forgetProviderSession(tx, providerId, providerSession)
    await this.#deps.loginTokens.deleteForProviderSession(tx, providerId, providerSession)
  }

  async deleteExpired(): Promise<void> {
    await this.#deps.attempts.deleteExpired()
    await this.#deps.newcomers.deleteExpired()
  }

  async #send(
    provider: IdentityProvider,
    purpose: SignOnPurpose,
    { browser: known, address, isBrowser, query, action }: SignOnRequest,
  ): Promise<{ url: string; cookie: SignOnCookie }> {
    const { attempts } = this.#deps
    const browser = known !== undefined && BROWSER.test(known) ? known : randomToken(36)
    const state = attempts.newState()
    const { url, memory = {} } = await provider.begin(state, {
      purpose,
      action,
      query,
      isProgram: !isBrowser,
    })
    await attempts.keep({ state, browser, address }, { provider: provider.id, purpose, memory })
    return { url, cookie: this.#cookie(browser, provider) }
  }

  async #logIn(
    provider: IdentityProvider,
    identity: ExternalIdentity,
    redirectUrl: string,
  ): Promise<SignOnAnswer> {
    const { accounts, newcomers, returns, options } = this.#deps
    const { externalId, providerSession, extraAttributes: extra } = identity
    const userId =
      (await accounts.findKnown(provider, externalId)) ?? (await accounts.adopt(provider, identity))
    if (userId === undefined) {
      if (provider.registers) return newcomers.welcome(provider, identity, redirectUrl)
      throw new SignOnFailure('mapping_error', 'User does not exist and registrations are disabled', 403)
    }
    if (options.updatesProfiles) await accounts.updateProfile(userId, identity)
    const origin = { provider: provider.id, providerSession, extra }
    return returns.send({ userId, redirectUrl, origin, isNew: false })
  }

  async #confirmed(
    provider: IdentityProvider,
    { externalId }: ExternalIdentity,
    sessionId: string,
  ): Promise<SignOnAnswer> {
    const { accounts, uiAuth, pages } = this.#deps
    const session = await uiAuth.find(sessionId)
    const userId = await accounts.findKnown(provider, externalId)
    const isRight = userId !== undefined && userId === session.userId
    await uiAuth.completeElsewhere(sessionId, SIGN_ON_STAGE, { isRight })
    return isRight ? pages.operationConfirmed() : pages.wrongUser(session.userId)
  }

  async #providersOf(userId: UserId): Promise<IdentityProvider[]> {
    const { db, providers, externalIds } = this.#deps
    if (providers.length === 0) return []
    const ids = await externalIds.list(db.reader, userId)
    return providers.filter(({ id }) => ids.some(({ authProvider }) => authProvider === id))
  }

  get #isSecure(): boolean {
    return this.publicBaseUrl.startsWith('https:')
  }

  #cookie(browser: string, provider: IdentityProvider): SignOnCookie {
    return {
      name: this.cookieName,
      value: browser,
      maxAgeMs: ATTEMPT_LIFETIME_MS,
      isCrossSite: provider.answersByPost === true,
      isSecure: this.#isSecure,
    }
  }
}

function notOffered(): MatrixError {
  return notFound('There is no single sign-on at this server')
}

function isSamePurpose(a: SignOnPurpose, b: SignOnPurpose): boolean {
  return a.kind === 'login'
    ? b.kind === 'login' && a.redirectUrl === b.redirectUrl
    : b.kind === 'confirm' && a.sessionId === b.sessionId
}
