import { MatrixError, forbidden, missingParam } from '../../protocol/errors.js'
import { localpartOf, userIdOf, type DeviceId, type UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { RegistrationTokensStore } from '../../storage/stores/registration-tokens.js'
import type { UserConsentsStore } from '../../storage/stores/user-consents.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject, JsonValue } from '../../util/json.js'
import type { DeviceWish } from '../accounts/login.js'
import type { Passwords } from '../accounts/passwords.js'
import type { Authenticator, ClientInfo } from '../accounts/requester.js'
import type { IssuedTokens, TokenIssuer } from '../accounts/token-issuer.js'
import type { UiAuth } from '../accounts/ui-auth.js'
import { EMAIL_STAGE, REGISTRATION_TOKEN_STAGE, TERMS_STAGE } from '../accounts/ui-auth-stages.js'
import { userIdForUsername, type UsernameRules } from '../accounts/usernames.js'
import type { AppserviceRegistry } from '../appservices/appservice-registry.js'
import type { Devices } from '../devices/devices.js'
import type { AccessTokens } from '../accounts/access-tokens.js'
import type { NewcomerAddresses } from './newcomer-addresses.js'
import { registrationFlows, type DemandedProofs } from './registration-flows.js'
import { mergeWishes, type RegistrationSessions, type RegistrationWishes } from './registration-sessions.js'

/** Brings new users into the rooms that everybody is to be in; must not fail because of a room. */
export interface AutoJoiner {
  joinAutoJoinRooms(userId: UserId): Promise<void>
}

export interface RegistrationOptions extends UsernameRules, DemandedProofs {
  /** `enable_registration`. */
  readonly enabled: boolean
  /** Configuration demands a proof that this server has no stage for; then nobody can register. */
  readonly unavailableStage: string | undefined
  /** `allow_guest_access`. */
  readonly guests: boolean
  /** `inhibit_user_in_use_error`: do not say before the end that a name is taken. */
  readonly hideTakenNames: boolean
  /** `auto_join_rooms_for_guests`. */
  readonly autoJoinGuests: boolean
  /** `user_types.default_user_type`: of people of whom nobody says what they are. */
  readonly defaultUserType?: string | undefined
}

export interface RegistrationDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly users: UsersStore
  readonly profiles: ProfilesStore
  readonly addresses: NewcomerAddresses
  readonly registrationTokens: RegistrationTokensStore
  readonly userConsents: Pick<UserConsentsStore, 'put'>
  readonly devices: Devices
  readonly tokenIssuer: TokenIssuer
  readonly passwords: Passwords
  readonly uiAuth: UiAuth
  readonly registrationSessions: RegistrationSessions
  readonly authenticator: Authenticator & Pick<AccessTokens, 'revokeForUser'>
  readonly autoJoiner: AutoJoiner
  /** Which names application services have for themselves; none without it. */
  readonly namespaces?: Pick<AppserviceRegistry, 'isTaken'>
  readonly options: RegistrationOptions
}

/** What somebody who registers has sent. */
export interface RegistrationRequest {
  readonly username: string | undefined
  readonly password: string | undefined
  /** The token of the guest who becomes a user. */
  readonly guestAccessToken: string | undefined
  readonly inhibitLogin: boolean
  readonly device: DeviceWish
  /** For user-interactive authentication: the request itself. */
  readonly method: string
  readonly path: string
  readonly body: Readonly<JsonObject>
  readonly client: ClientInfo
}

export interface Registered {
  readonly userId: UserId
  /** Absent with `inhibit_login`. */
  readonly session: (IssuedTokens & { readonly deviceId: DeviceId }) | undefined
}

/** Either an account, or what the client has to do first. */
export type RegistrationOutcome = { readonly registered: Registered } | { readonly challenge: JsonObject }

/** An account as those make it who need no leave of the user's. */
export interface DirectRegistration {
  /** Instead of a name: checked already. */
  readonly userId?: UserId
  readonly username: string | undefined
  readonly password: string | undefined
  readonly displayName?: string | undefined
  readonly isAdmin?: boolean
  readonly userType?: string | undefined
  readonly appserviceId?: string | undefined
  readonly inhibitLogin?: boolean
  readonly device?: DeviceWish
}

/** An account of somebody who has signed on at another service. */
export interface SignedOnRegistration {
  readonly localpart: string
  readonly displayName: string | undefined
  /** Theirs, as the service says; those that are somebody's already stay that one's. */
  readonly emails: readonly string[]
  /** Of the policy that they have agreed to. */
  readonly consentVersion: string | undefined
  /** Runs in the transaction that makes the account, which does not come about where it rejects. */
  commit(tx: Tx, userId: UserId): Promise<void>
}

const NO_WISHES: DeviceWish = { deviceId: undefined, displayName: undefined, refreshable: false }

/** Makes accounts. https://spec.matrix.org/latest/client-server-api/#legacy-account-registration */
export class AccountRegistration {
  readonly #deps: RegistrationDependencies

  constructor(deps: RegistrationDependencies) {
    this.#deps = deps
  }

  /** Whether anybody may register. */
  get isOpen(): boolean {
    return this.#deps.options.enabled && this.#deps.options.unavailableStage === undefined
  }

  /** Throws `M_INVALID_USERNAME`, `M_EXCLUSIVE` or `M_USER_IN_USE`, `M_FORBIDDEN` when nobody may register. */
  async checkAvailable(username: string): Promise<void> {
    this.#checkOpen()
    const userId = userIdForUsername(username, this.#deps.options)
    this.#checkNotReserved(userId, undefined)
    if (!this.#deps.options.hideTakenNames) await this.#checkNotTaken(userId)
  }

  /** Whether an account of this name can be made at all. Throws `M_INVALID_USERNAME`, `M_EXCLUSIVE` or `M_USER_IN_USE`. */
  async checkFree(username: string): Promise<void> {
    const userId = userIdForUsername(username, this.#deps.options)
    this.#checkNotReserved(userId, undefined)
    await this.#checkNotTaken(userId)
  }

  /**
   * A person registers. What is wrong with the name or the password is said before any authentication. What an earlier
   * request of the session has said need not be said again; who asks again when all is done gets the same account.
   */
  async register(request: RegistrationRequest): Promise<RegistrationOutcome> {
    this.#checkOpen()
    const { options, uiAuth, registrationSessions } = this.#deps
    const session = await registrationSessions.find(request.body['auth'], request)
    const wishes = mergeWishes({ ...request, passwordHash: undefined }, session.wishes)
    if (session.registeredAs !== undefined) return this.#repeat(session.registeredAs, wishes)
    const guestId = await this.#guestOf(request)
    const userId = guestId ?? (await this.#wantedUserId(wishes.username))
    if (request.password !== undefined) this.#deps.passwords.checkNew(request.password)
    const outcome = await uiAuth.authenticate({
      requester: undefined,
      method: request.method,
      path: request.path,
      body: request.body,
      flows: registrationFlows(options),
      mutableBody: true,
      keepSession: true,
    })
    if (!outcome.complete) {
      // The first password of a session is hashed, not that of every request that asks how far it has come.
      const passwordHash = wishes.passwordHash ?? (await this.#hashOf(request))
      await registrationSessions.remember(outcome.response['session'], { ...wishes, passwordHash })
      return { challenge: outcome.response }
    }
    const passwordHash = (await this.#hashOf(request)) ?? wishes.passwordHash
    if (passwordHash === undefined) throw missingParam('password')
    const registered = await this.#deps.db.write('register', async (tx) => {
      const id = userId ?? (await this.#numericUserId(tx))
      await this.#endSession(tx, outcome, { userId: id, wishes })
      if (guestId === undefined) await this.#insertUser(tx, id, { passwordHash })
      else await this.#upgradeGuest(tx, guestId, passwordHash)
      await this.#deps.addresses.addProven(tx, id, outcome.completed[EMAIL_STAGE])
      await this.#noteConsent(tx, id, outcome.completed[TERMS_STAGE])
      return this.#beginSession(tx, id, wishes)
    })
    await this.#deps.autoJoiner.joinAutoJoinRooms(registered.userId)
    return { registered }
  }

  /** A guest account, with a name and a device of the server's choice. Throws `M_FORBIDDEN` where there are none. */
  async registerGuest(displayName: string | undefined): Promise<Registered> {
    if (!this.#deps.options.guests) throw forbidden('Guest access is disabled')
    const registered = await this.#deps.db.write('register_guest', async (tx) => {
      const userId = await this.#numericUserId(tx)
      await this.#insertUser(tx, userId, { isGuest: true })
      const device = { ...NO_WISHES, displayName }
      return this.#beginSession(tx, userId, { inhibitLogin: false, device, isGuest: true })
    })
    if (this.#deps.options.autoJoinGuests) await this.#deps.autoJoiner.joinAutoJoinRooms(registered.userId)
    return registered
  }

  /** An account made on authority: of an administrator, the shared secret, an application service. */
  async registerDirectly(request: DirectRegistration): Promise<Registered> {
    const { options, passwords } = this.#deps
    const wanted =
      request.username === undefined
        ? request.userId
        : userIdForUsername(request.username, { ...options, allowUnderscorePrefix: true })
    if (wanted !== undefined) {
      this.#checkNotReserved(wanted, request.appserviceId)
      await this.#checkNotTaken(wanted)
    }
    if (request.password !== undefined) passwords.checkNew(request.password)
    const passwordHash = request.password === undefined ? undefined : await passwords.hash(request.password)
    const registered = await this.#deps.db.write('register_directly', async (tx) => {
      const userId = wanted ?? (await this.#numericUserId(tx))
      await this.#insertUser(tx, userId, { ...request, passwordHash })
      return this.#beginSession(tx, userId, {
        inhibitLogin: request.inhibitLogin ?? false,
        device: request.device ?? NO_WISHES,
      })
    })
    // Users of application services go where these send them.
    if (request.appserviceId === undefined) {
      await this.#deps.autoJoiner.joinAutoJoinRooms(registered.userId)
    }
    return registered
  }

  /**
   * An account of somebody who has signed on, whether or not others may register. Throws `M_INVALID_USERNAME`,
   * `M_EXCLUSIVE`, `M_USER_IN_USE`, and what its `commit` throws.
   */
  async registerSignedOn(request: SignedOnRegistration): Promise<UserId> {
    const userId = userIdForUsername(request.localpart, this.#deps.options)
    this.#checkNotReserved(userId, undefined)
    await this.#deps.db.write('register_signed_on', async (tx) => {
      await this.#insertUser(tx, userId, { displayName: request.displayName })
      await this.#deps.addresses.addGiven(tx, userId, request.emails)
      await this.#noteConsent(tx, userId, request.consentVersion)
      await request.commit(tx, userId)
    })
    await this.#deps.autoJoiner.joinAutoJoinRooms(userId)
    return userId
  }

  #checkOpen(): void {
    const { enabled, unavailableStage } = this.#deps.options
    if (!enabled) throw forbidden('Registration has been disabled')
    if (unavailableStage !== undefined) {
      throw forbidden(`Registration needs ${unavailableStage}, which this server does not offer`)
    }
  }

  async #wantedUserId(username: string | undefined): Promise<UserId | undefined> {
    if (username === undefined) return undefined
    const userId = userIdForUsername(username, this.#deps.options)
    this.#checkNotReserved(userId, undefined)
    if (!this.#deps.options.hideTakenNames) await this.#checkNotTaken(userId)
    return userId
  }

  /** https://spec.matrix.org/latest/application-service-api/#server-admin-style-permissions */
  #checkNotReserved(userId: UserId, appserviceId: string | undefined): void {
    if (this.#deps.namespaces?.isTaken('users', userId, appserviceId)) {
      throw new MatrixError('M_EXCLUSIVE', 'This user name is reserved for an application service')
    }
  }

  async #checkNotTaken(userId: UserId): Promise<void> {
    if (await this.#deps.users.exists(this.#deps.db.reader, userId)) throw userInUse()
  }

  /** https://spec.matrix.org/latest/client-server-api/#guest-access */
  async #guestOf(request: RegistrationRequest): Promise<UserId | undefined> {
    if (request.guestAccessToken === undefined) return undefined
    const guest = await this.#deps.authenticator.authenticate(request.guestAccessToken, request.client)
    if (!guest.isGuest) throw forbidden('This is not the access token of a guest')
    if (request.username !== localpartOf(guest.userId)) {
      throw forbidden('The username must be the localpart of the guest')
    }
    return guest.userId
  }

  /** The account of a session is there already: whoever asks again is let in, as after a login. */
  async #repeat(userId: UserId, wishes: RegistrationWishes): Promise<RegistrationOutcome> {
    const registered = await this.#deps.db.write('repeat_registration', (tx) =>
      this.#beginSession(tx, userId, wishes),
    )
    return { registered }
  }

  #hashOf({ password }: RegistrationRequest): Promise<string> | undefined {
    return password === undefined ? undefined : this.#deps.passwords.hash(password)
  }

  async #endSession(
    tx: Tx,
    outcome: { sessionId: string | undefined; completed: Readonly<JsonObject> },
    { userId, wishes }: { userId: UserId; wishes: RegistrationWishes },
  ): Promise<void> {
    if (outcome.sessionId === undefined) return
    const isFirst = await this.#deps.registrationSessions.end(tx, outcome.sessionId, userId, wishes)
    if (!isFirst) throw forbidden('The session has ended')
    const token = outcome.completed[REGISTRATION_TOKEN_STAGE]
    if (typeof token === 'string') await this.#deps.registrationTokens.complete(tx, token)
  }

  /** An unused ID of digits. Names of digits alone cannot be registered, but may have been imported. */
  async #numericUserId(tx: Tx): Promise<UserId> {
    for (;;) {
      const localpart = await this.#deps.users.allocateNumericLocalpart(tx)
      const userId = userIdOf(String(localpart), this.#deps.options.serverName)
      if (!(await this.#deps.users.exists(tx, userId))) return userId
    }
  }

  async #insertUser(
    tx: Tx,
    userId: UserId,
    user: {
      passwordHash?: string | undefined
      displayName?: string | undefined
      isGuest?: boolean
      isAdmin?: boolean
      userType?: string | undefined
      appserviceId?: string | undefined
    },
  ): Promise<void> {
    const isPerson = user.isGuest !== true && user.appserviceId === undefined
    const inserted = await this.#deps.users.insert(tx, {
      ...user,
      userType: user.userType ?? (isPerson ? this.#deps.options.defaultUserType : undefined),
      userId,
      passwordHash: user.passwordHash,
      createdTs: this.#deps.clock.now(),
    })
    if (!inserted) throw userInUse()
    const displayName = user.isGuest ? undefined : (user.displayName ?? localpartOf(userId))
    await this.#deps.profiles.put(tx, userId, { displayName, avatarUrl: undefined, fields: {} })
  }

  /** The version that somebody has agreed to. */
  async #noteConsent(tx: Tx, userId: UserId, version: JsonValue | undefined): Promise<void> {
    if (typeof version !== 'string') return
    await this.#deps.userConsents.put(tx, userId, { version, ts: this.#deps.clock.now() })
  }

  async #upgradeGuest(tx: Tx, userId: UserId, passwordHash: string): Promise<void> {
    if (!(await this.#deps.users.upgradeGuest(tx, userId, passwordHash))) throw userInUse()
    await this.#deps.authenticator.revokeForUser(tx, userId)
  }

  async #beginSession(
    tx: Tx,
    userId: UserId,
    request: { inhibitLogin: boolean; device: DeviceWish; isGuest?: boolean },
  ): Promise<Registered> {
    if (request.inhibitLogin) return { userId, session: undefined }
    const deviceId = await this.#deps.devices.register(tx, userId, request.device)
    const tokens = await this.#deps.tokenIssuer.issue(tx, {
      userId,
      deviceId,
      isGuest: request.isGuest ?? false,
      refreshable: request.device.refreshable,
    })
    return { userId, session: { deviceId, ...tokens } }
  }
}

function userInUse(): MatrixError {
  return new MatrixError('M_USER_IN_USE', 'User ID already taken')
}
