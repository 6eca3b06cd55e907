import { MatrixError, forbidden, userLocked } from '../../protocol/errors.js'
import type { DeviceId, ServerName, UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { LoginTokenOrigin, LoginTokensStore } from '../../storage/stores/login-tokens.js'
import type { ThreepidsStore } from '../../storage/stores/threepids.js'
import type { UserRecord, UsersStore } from '../../storage/stores/users.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { Devices } from '../devices/devices.js'
import type { AttemptLimiter } from './attempt-limiter.js'
import type { Credential, CredentialProviders } from './credential-providers.js'
import type { Passwords } from './passwords.js'
import type { ClientInfo } from './requester.js'
import type { SpamChecks } from './spam-checks.js'
import { hashToken, makeToken } from './token-format.js'
import type { IssuedTokens, TokenIssuer } from './token-issuer.js'
import {
  identifierKey,
  parseUserIdentifier,
  type IdentifierFields,
  type UserIdentifier,
} from './user-identifier.js'
import { userIdsForLogin } from './usernames.js'

/** What every way of logging in may ask for. */
export interface DeviceWish {
  readonly deviceId: string | undefined
  readonly displayName: string | undefined
  readonly refreshable: boolean
  /** From where somebody logs in, where that is known. */
  readonly client?: ClientInfo | undefined
}

/** A session that has begun. */
export interface LoginResult extends IssuedTokens {
  readonly userId: UserId
  readonly deviceId: DeviceId
  /** What the service at which somebody has signed on wants the client to be told. */
  readonly extra?: Readonly<JsonObject> | undefined
}

/** What `GET /login` offers: a type, and what clients have to know of it. */
export type LoginFlow = JsonObject & { type: string }

export interface LoginOptions {
  readonly serverName: ServerName
  /** `password_config.enabled` and `localdb_enabled`: passwords may be used to log in. */
  readonly passwordLogin: boolean
  /** As `passwordLogin`, or `password_config.enabled: only_for_reauth`: passwords may be used to confirm who one is. */
  readonly passwordReauth: boolean
  /** `password_config.enabled`: as both above, for passwords that others know. */
  readonly providedLogin?: boolean
  readonly providedReauth?: boolean
  /** `login_via_existing_session.enabled`. */
  readonly loginTokens: boolean
  /** `login_via_existing_session.token_timeout`. */
  readonly loginTokenLifetimeMs: number
}

export interface LoginDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly users: UsersStore
  readonly threepids: Pick<ThreepidsStore, 'findOwner'>
  readonly loginTokens: LoginTokensStore
  readonly devices: Devices
  readonly tokenIssuer: TokenIssuer
  readonly passwords: Passwords
  /** `rc_login.account`: logins of an account. */
  readonly accountLimiter: AttemptLimiter
  /** `rc_login.failed_attempts`: wrong passwords for an account. */
  readonly failureLimiter: AttemptLimiter
  /** Whether there are application services, which log in by their tokens. */
  readonly hasAppservices?: () => boolean
  /** The flows of single sign-on; none without it. */
  readonly listSignOnFlows?: () => readonly LoginFlow[]
  /** Keeps with a device in which session of another service its user has signed on. */
  readonly providerSessions?: ProviderSessionNotes
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: Pick<SpamChecks, 'mayLogIn'> | undefined
  /** Who knows people besides this server. */
  readonly credentialProviders?: CredentialProviders | undefined
  readonly options: LoginOptions
}

/** Keeps which device belongs to which session of the service where its user has signed on. */
export interface ProviderSessionNotes {
  /** Takes the place of what was noted of the device. `session` undefined: its user has come by another way. */
  note(
    tx: Tx,
    device: { readonly userId: UserId; readonly deviceId: DeviceId },
    session: { readonly provider: string; readonly providerSession: string } | undefined,
  ): Promise<void>
}

/** Begins sessions. https://spec.matrix.org/latest/client-server-api/#legacy-login */
export class Login {
  readonly #deps: LoginDependencies

  constructor(deps: LoginDependencies) {
    this.#deps = deps
  }

  /** What `GET /login` offers. */
  listFlows(): LoginFlow[] {
    const { loginTokens } = this.#deps.options
    const signOn = this.#deps.listSignOnFlows?.() ?? []
    // Whoever signs on comes back with a token.
    const takesTokens = loginTokens || signOn.length > 0
    return [
      ...(this.takesPasswords('login') ? [{ type: 'm.login.password' }] : []),
      ...this.credentialTypes.map((type) => ({ type })),
      ...signOn,
      ...(takesTokens ? [{ type: 'm.login.token', ...(loginTokens && { get_login_token: true }) }] : []),
      ...(this.#deps.hasAppservices?.() ? [{ type: 'm.login.application_service' }] : []),
    ]
  }

  /** Whether people log in, or confirm who they are, with passwords: those of this server, or that others know. */
  takesPasswords(use: PasswordUse): boolean {
    return this.#ownPasswords(use) || this.#providedPasswords(use)
  }

  /** The types of login that others judge, besides that by password. */
  get credentialTypes(): readonly string[] {
    return this.#deps.credentialProviders?.ownTypes ?? []
  }

  /** The stages by which people can confirm who they are to those who know them besides this server. */
  get provenStages(): readonly string[] {
    const passwords = this.#providedPasswords('confirm') ? ['m.login.password'] : []
    return [...passwords, ...this.credentialTypes]
  }

  /** As `parseUserIdentifier`. */
  parseIdentifier(body: IdentifierFields): UserIdentifier {
    return parseUserIdentifier(body)
  }

  /**
   * Throws `M_FORBIDDEN` alike for unknown users and wrong passwords, after the same work; `M_USER_DEACTIVATED` for accounts
   * that have ended, whose passwords are gone; then what `beginSession` throws.
   */
  async withPassword(identifier: UserIdentifier, password: string, device: DeviceWish): Promise<LoginResult> {
    if (!this.takesPasswords('login')) throw forbidden('Logging in with a password is disabled')
    const { user, proven } = await this.#checkPassword(identifier, password, 'login')
    if (proven === undefined)
      throw user?.isDeactivated ? deactivated() : forbidden('Invalid username or password')
    return this.beginSession(proven.userId, device, proven)
  }

  /**
   * With what a provider takes that has a type of login of its own. Throws `M_FORBIDDEN`, and what `beginSession`
   * throws.
   */
  async withCredential(
    type: string,
    { identifier, secret }: { readonly identifier: UserIdentifier; readonly secret: string },
    device: DeviceWish,
  ): Promise<LoginResult> {
    const userId = await this.#checkCredential(type, { identifier, secret }, 'login')
    if (userId === undefined) throw forbidden('Invalid credential')
    return this.beginSession(userId, device)
  }

  /** With a token made by `createLoginToken`; throws `M_FORBIDDEN` when it is not good. */
  async withLoginToken(token: string, device: DeviceWish): Promise<LoginResult> {
    const tokenHash = hashToken(token)
    const consumed = await this.#deps.db.write('consume_login_token', (tx) =>
      this.#deps.loginTokens.consume(tx, tokenHash),
    )
    if (consumed === undefined || consumed.expiryTs <= this.#deps.clock.now()) {
      throw forbidden('Invalid login token')
    }
    const { userId, origin } = consumed
    const session = await this.beginSession(userId, device, { origin })
    return { ...session, extra: origin?.extra }
  }

  /**
   * Begins a session of a user who is known to be who they say. `passwordHash`: what the user's password was checked
   * against; it must not have changed meanwhile. `origin`: where they have signed on. Throws `M_USER_DEACTIVATED`,
   * `M_USER_LOCKED`, `M_LIMIT_EXCEEDED`.
   */
  async beginSession(
    userId: UserId,
    device: DeviceWish,
    {
      passwordHash,
      origin,
    }: { passwordHash?: string | undefined; origin?: LoginTokenOrigin | undefined } = {},
  ): Promise<LoginResult> {
    this.#deps.accountLimiter.consume(userId)
    await this.#deps.spam?.mayLogIn({ ...device, userId, provider: origin?.provider, client: device.client })
    return this.#deps.db.write('login', async (tx) => {
      const user = await this.#deps.users.get(tx, userId)
      const isStale = passwordHash !== undefined && user?.passwordHash !== passwordHash
      if (user === undefined || isStale) throw forbidden('Invalid username or password')
      checkMayLogIn(user)
      const deviceId = await this.#deps.devices.register(tx, userId, device)
      const session = sessionOf(origin)
      // Of a new device there is nothing to forget.
      if (session !== undefined || device.deviceId !== undefined) {
        await this.#deps.providerSessions?.note(tx, { userId, deviceId }, session)
      }
      const tokens = await this.#deps.tokenIssuer.issue(tx, {
        userId,
        deviceId,
        isGuest: user.isGuest,
        refreshable: device.refreshable,
      })
      return { userId, deviceId, ...tokens }
    })
  }

  /**
   * Who that is, when this is their password; wrong ones are counted. Begins no session: for user-interactive
   * authentication.
   */
  async identify(identifier: UserIdentifier, password: string): Promise<UserId | undefined> {
    if (!this.takesPasswords('confirm')) return undefined
    return (await this.#checkPassword(identifier, password, 'confirm')).proven?.userId
  }

  /** As `identify`, with what a provider takes that has a type of login of its own. */
  async identifyBy(
    type: string,
    proof: { readonly identifier: UserIdentifier; readonly secret: string },
  ): Promise<UserId | undefined> {
    return this.#checkCredential(type, proof, 'confirm')
  }

  /**
   * A token that logs in as the user, once. `origin`: where they have signed on.
   * https://spec.matrix.org/latest/client-server-api/#post_matrixclientv1loginget_token
   */
  async createLoginToken(
    userId: UserId,
    options: { lifetimeMs?: number; origin?: LoginTokenOrigin } = {},
  ): Promise<{ token: string; expiresInMs: number }> {
    const expiresInMs = options.lifetimeMs ?? this.#deps.options.loginTokenLifetimeMs
    const token = makeToken('login', userId)
    const now = this.#deps.clock.now()
    await this.#deps.db.write('create_login_token', async (tx) => {
      await this.#deps.loginTokens.deleteExpired(tx, now)
      await this.#deps.loginTokens.insert(tx, {
        tokenHash: hashToken(token),
        userId,
        expiryTs: now + expiresInMs,
        origin: options.origin,
      })
    })
    return { token, expiresInMs }
  }

  #ownPasswords(use: PasswordUse): boolean {
    const { passwordLogin, passwordReauth } = this.#deps.options
    return use === 'login' ? passwordLogin : passwordReauth
  }

  #providedPasswords(use: PasswordUse): boolean {
    const { providedLogin, providedReauth } = this.#deps.options
    const isAllowed = use === 'login' ? providedLogin : providedReauth
    return isAllowed === true && this.#deps.credentialProviders?.takesPasswords === true
  }

  async #checkPassword(
    identifier: UserIdentifier,
    password: string,
    use: PasswordUse,
  ): Promise<{ user: UserRecord | undefined; proven: Proven | undefined }> {
    return this.#counting(identifier, async (user) => {
      const credential = credentialOf('m.login.password', { identifier, secret: password, user })
      const ask = async (isImmediate: boolean): Promise<Proven | undefined> => {
        if (!this.#providedPasswords(use) || user?.isDeactivated) return undefined
        const options = { isImmediate, registers: use === 'login' }
        const userId = await this.#deps.credentialProviders?.identify(credential, options)
        return userId && { userId, passwordHash: undefined }
      }
      // Synapse asks all others first. Whoever has a good password gets in either way; but so nobody else gets to see the
      // passwords of this server, and its people need not wait for a service that does not answer.
      return (
        (await ask(true)) ??
        (this.#ownPasswords(use) ? await this.#checkOwn(user, password) : undefined) ??
        (await ask(false))
      )
    })
  }

  async #checkOwn(user: UserRecord | undefined, password: string): Promise<Proven | undefined> {
    const isRight = await this.#deps.passwords.verify(password, user?.passwordHash)
    return isRight && user !== undefined
      ? { userId: user.userId, passwordHash: user.passwordHash }
      : undefined
  }

  async #checkCredential(
    type: string,
    { identifier, secret }: { readonly identifier: UserIdentifier; readonly secret: string },
    use: PasswordUse,
  ): Promise<UserId | undefined> {
    const { proven } = await this.#counting(identifier, async (user) => {
      const credential = credentialOf(type, { identifier, secret, user })
      const registers = use === 'login'
      const userId =
        (await this.#deps.credentialProviders?.identify(credential, { isImmediate: true, registers })) ??
        (await this.#deps.credentialProviders?.identify(credential, { isImmediate: false, registers }))
      return userId && { userId, passwordHash: undefined }
    })
    return proven?.userId
  }

  async #counting(
    identifier: UserIdentifier,
    prove: (user: UserRecord | undefined) => Promise<Proven | undefined>,
  ): Promise<{ user: UserRecord | undefined; proven: Proven | undefined }> {
    const user = await this.#findUser(identifier)
    const key = user?.userId ?? identifierKey(identifier)
    // Counted before it is known to be wrong: else any number of guesses could be on their way at once.
    this.#deps.failureLimiter.consume(key)
    const proven = await prove(user)
    if (proven !== undefined) this.#deps.failureLimiter.refund(key)
    return { user, proven }
  }

  async #findUser(identifier: UserIdentifier): Promise<UserRecord | undefined> {
    const q = this.#deps.db.reader
    if (identifier.type === 'threepid') {
      const address = identifier.medium === 'email' ? identifier.address.toLowerCase() : identifier.address
      const owner = await this.#deps.threepids.findOwner(q, identifier.medium, address)
      return owner && (await this.#deps.users.get(q, owner))
    }
    // At most two: as written, and in lower case.
    for (const userId of userIdsForLogin(identifier.user, this.#deps.options.serverName)) {
      const user = await this.#deps.users.get(q, userId)
      if (user !== undefined) return user
    }
    return undefined
  }
}

/** `login`, or to confirm who one is. */
type PasswordUse = 'login' | 'confirm'

interface Proven {
  readonly userId: UserId
  /** What the password was checked against, if it is one of this server. */
  readonly passwordHash: string | undefined
}

function credentialOf(
  type: string,
  { identifier, secret, user }: { identifier: UserIdentifier; secret: string; user: UserRecord | undefined },
): Credential {
  const account = user?.userId
  if (identifier.type === 'user') return { type, secret, user: identifier.user, account }
  const { medium, address } = identifier
  return { type, secret, user: account, account, threepid: { medium, address } }
}

function sessionOf(
  origin: LoginTokenOrigin | undefined,
): { provider: string; providerSession: string } | undefined {
  if (origin?.providerSession === undefined) return undefined
  return { provider: origin.provider, providerSession: origin.providerSession }
}

function deactivated(): MatrixError {
  return new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
}

function checkMayLogIn(user: UserRecord): void {
  if (user.isDeactivated) throw deactivated()
  if (user.isLocked) {
    throw userLocked()
  }
}
