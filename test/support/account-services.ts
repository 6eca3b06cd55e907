import { AccessTokens } from '../../src/services/accounts/access-tokens.js'
import { AccountData } from '../../src/services/accounts/account-data.js'
import type { AttemptLimiter } from '../../src/services/accounts/attempt-limiter.js'
import { Filters } from '../../src/services/accounts/filters.js'
import { Login, type LoginOptions } from '../../src/services/accounts/login.js'
import { Logout } from '../../src/services/accounts/logout.js'
import { PasswordChanges } from '../../src/services/accounts/password-changes.js'
import { Passwords, type PasswordPolicy } from '../../src/services/accounts/passwords.js'
import { Profiles, type ProfileChange, type ProfileOptions } from '../../src/services/accounts/profiles.js'
import { RegistrationTokens } from '../../src/services/accounts/registration-tokens.js'
import type { Requester } from '../../src/services/accounts/requester.js'
import { ServerDescription } from '../../src/services/accounts/server-description.js'
import { TokenIssuer, type TokenLifetimes } from '../../src/services/accounts/token-issuer.js'
import { UiAuth } from '../../src/services/accounts/ui-auth.js'
import {
  dummyStage,
  passwordStage,
  registrationTokenStage,
} from '../../src/services/accounts/ui-auth-stages.js'
import { ClientSightings } from '../../src/services/devices/client-sightings.js'
import { Devices } from '../../src/services/devices/devices.js'
import { AccountDeactivation } from '../../src/services/journeys/account-deactivation.js'
import {
  AccountRegistration,
  type RegistrationOptions,
} from '../../src/services/journeys/account-registration.js'
import { SharedSecretRegistration } from '../../src/services/journeys/shared-secret-registration.js'
import type { Services } from '../../src/services/services.js'
import type { PositionHints } from '../../src/services/streams/notifier.js'
import type { DeviceId, ServerName, UserId } from '../../src/protocol/ids.js'
import type { Database } from '../../src/storage/database.js'
import { AccessTokensStore } from '../../src/storage/stores/access-tokens.js'
import { AccountDataStore } from '../../src/storage/stores/account-data.js'
import { ClientIpsStore } from '../../src/storage/stores/client-ips.js'
import { DevicesStore } from '../../src/storage/stores/devices.js'
import { FiltersStore } from '../../src/storage/stores/filters.js'
import { LoginTokensStore } from '../../src/storage/stores/login-tokens.js'
import { ProfilesStore } from '../../src/storage/stores/profiles.js'
import { RefreshTokensStore } from '../../src/storage/stores/refresh-tokens.js'
import { RegistrationTokensStore } from '../../src/storage/stores/registration-tokens.js'
import { SessionsStore } from '../../src/storage/stores/sessions.js'
import { ThreepidsStore } from '../../src/storage/stores/threepids.js'
import { UsersStore } from '../../src/storage/stores/users.js'
import { StreamIdGenerator } from '../../src/storage/streams/stream-id-generator.js'
import { ManualClock } from './manual-clock.js'

export const SERVER_NAME = 'hs.test' as ServerName
export const SHARED_SECRET = 'a shared secret'
export const CLIENT = { ip: '127.0.0.1', userAgent: 'test' }

export interface AccountOptions {
  readonly registration?: Partial<RegistrationOptions>
  readonly login?: Partial<LoginOptions>
  readonly lifetimes?: Partial<TokenLifetimes>
  readonly profile?: Partial<ProfileOptions>
  readonly policy?: Partial<PasswordPolicy>
  readonly sharedSecret?: string | undefined
  readonly uiAuthReuseMs?: number
  readonly failureLimiter?: AttemptLimiter
}

type AccountServices = Pick<
  Services,
  | 'accessTokens'
  | 'accountData'
  | 'accountDeactivation'
  | 'accountRegistration'
  | 'devices'
  | 'filters'
  | 'login'
  | 'logout'
  | 'passwordChanges'
  | 'profiles'
  | 'registrationTokens'
  | 'serverDescription'
  | 'sharedSecretRegistration'
  | 'tokenIssuer'
  | 'uiAuth'
>

/** The services of accounts on a database, with a clock that stands still and what they have told others. */
export interface AccountFixture {
  readonly services: AccountServices
  readonly db: Database
  readonly clock: ManualClock
  readonly stores: ReturnType<typeof createStores>
  readonly sightings: ClientSightings
  readonly positions: { stream: string; hints: PositionHints }[]
  readonly profileChanges: ProfileChange[]
  readonly joined: UserId[]
  readonly left: UserId[]
  /** How many passwords have been hashed and compared. */
  readonly hashing: { hashed: number; verified: number }
  /** Registers a user with the password `secret` and logs them in. */
  createUser(localpart: string, options?: { isAdmin?: boolean }): Promise<TestSession>
}

export interface TestSession {
  readonly userId: UserId
  readonly deviceId: DeviceId
  readonly token: string
  readonly requester: Requester
}

const LETS_EVERYTHING_PASS: AttemptLimiter = { consume: () => undefined, refund: () => undefined }

export async function createAccountServices(
  db: Database,
  options: AccountOptions = {},
): Promise<AccountFixture> {
  const clock = new ManualClock()
  const stores = createStores()
  const record = { positions: [], profileChanges: [], joined: [], left: [] } as Pick<
    AccountFixture,
    'positions' | 'profileChanges' | 'joined' | 'left'
  >
  const positions = {
    onNewPosition: (stream: string, hints: PositionHints) => record.positions.push({ stream, hints }),
  }
  const sightings = new ClientSightings({ db, clock, clientIps: stores.clientIps, onError: rethrow })
  const accessTokens = new AccessTokens({ db, clock, ...stores, sightings, cacheSize: 100 })
  const devices = new Devices({
    db,
    clock,
    devices: stores.devices,
    streamIds: await openStream(db, 'device_lists_stream_seq', 'device_list_changes'),
    positions,
    tokens: accessTokens,
    cleanups: [],
  })
  const hashing = { hashed: 0, verified: 0 }
  const passwords = createPasswords(hashing, options)
  const lifetimes: TokenLifetimes = {
    sessionMs: undefined,
    refreshableAccessTokenMs: 300_000,
    refreshTokenMs: undefined,
    nonrefreshableAccessTokenMs: undefined,
    ...options.lifetimes,
  }
  const tokenIssuer = new TokenIssuer({ db, clock, ...stores, authenticator: accessTokens, lifetimes })
  const login = new Login({
    db,
    clock,
    ...stores,
    devices,
    tokenIssuer,
    passwords,
    accountLimiter: LETS_EVERYTHING_PASS,
    failureLimiter: options.failureLimiter ?? LETS_EVERYTHING_PASS,
    options: {
      serverName: SERVER_NAME,
      passwordLogin: true,
      passwordReauth: true,
      loginTokens: true,
      loginTokenLifetimeMs: 120_000,
      ...options.login,
    },
  })
  const uiAuth = new UiAuth({
    db,
    clock,
    ...stores,
    stages: [dummyStage, passwordStage(login), registrationTokenStage(stores.registrationTokens, clock)],
    reuseMs: options.uiAuthReuseMs ?? 0,
  })
  const profiles = new Profiles({
    db,
    users: stores.users,
    profiles: stores.profiles,
    shareRoom: () => Promise.resolve(false),
    onProfileChanged: (change) => record.profileChanges.push(change),
    options: {
      serverName: SERVER_NAME,
      requireAuth: false,
      onlySharedRooms: false,
      maySetDisplayName: true,
      maySetAvatarUrl: true,
      mayInhibitPropagation: false,
      ...options.profile,
    },
  })
  const passwordChanges = new PasswordChanges({
    db,
    ...stores,
    devices,
    tokens: accessTokens,
    passwords,
    enabled: true,
  })
  const accountRegistration = new AccountRegistration({
    db,
    clock,
    ...stores,
    devices,
    tokenIssuer,
    passwords,
    uiAuth,
    authenticator: accessTokens,
    autoJoiner: {
      joinAutoJoinRooms: (userId) => {
        record.joined.push(userId)
        return Promise.resolve()
      },
    },
    options: {
      serverName: SERVER_NAME,
      allowUnderscorePrefix: false,
      enabled: true,
      requiresToken: false,
      unavailableStage: undefined,
      guests: true,
      hideTakenNames: false,
      autoJoinGuests: true,
      ...options.registration,
    },
  })
  const services: AccountServices = {
    accessTokens,
    accountData: new AccountData({
      db,
      accountData: stores.accountData,
      streamIds: await openStream(db, 'account_data_stream_seq', 'account_data'),
      positions,
    }),
    accountDeactivation: new AccountDeactivation({
      db,
      ...stores,
      devices,
      tokens: accessTokens,
      rooms: {
        leaveAllRooms: (userId) => {
          record.left.push(userId)
          return Promise.resolve()
        },
      },
      onError: rethrow,
    }),
    accountRegistration,
    devices,
    filters: new Filters({ db, filters: stores.filters, cacheSize: 100 }),
    login,
    logout: new Logout({ db, devices, tokens: accessTokens }),
    passwordChanges,
    profiles,
    registrationTokens: new RegistrationTokens({ db, clock, ...stores, enabled: true }),
    serverDescription: new ServerDescription({
      passwordChanges,
      profiles,
      options: {
        serverName: SERVER_NAME,
        version: 'mxhs 0.0.0',
        defaultRoomVersion: '12',
        forgetsRoomsOnLeave: false,
        threepidChanges: false,
        loginTokens: { enabled: true, requireUiAuth: true },
        wellKnown: { publicBaseUrl: 'https://hs.test/', identityServerUrl: undefined, extra: {} },
        servesServerWellKnown: false,
        configuredFeatures: {},
      },
    }),
    sharedSecretRegistration: new SharedSecretRegistration({
      clock,
      registration: accountRegistration,
      sharedSecret: 'sharedSecret' in options ? options.sharedSecret : SHARED_SECRET,
      userTypes: ['bot', 'support'],
    }),
    tokenIssuer,
    uiAuth,
  }
  return {
    ...record,
    services,
    db,
    clock,
    stores,
    sightings,
    hashing,
    async createUser(localpart, { isAdmin = false } = {}) {
      const { userId, session } = await accountRegistration.registerDirectly({
        username: localpart,
        password: 'secret',
        isAdmin,
      })
      if (session === undefined) throw new Error('No session has begun')
      const requester = await accessTokens.authenticate(session.accessToken, CLIENT)
      return { userId, deviceId: session.deviceId, token: session.accessToken, requester }
    },
  }
}

function createStores() {
  return {
    users: new UsersStore(),
    accessTokens: new AccessTokensStore(),
    refreshTokens: new RefreshTokensStore(),
    loginTokens: new LoginTokensStore(),
    devices: new DevicesStore(),
    clientIps: new ClientIpsStore(),
    profiles: new ProfilesStore(),
    accountData: new AccountDataStore(),
    filters: new FiltersStore(),
    registrationTokens: new RegistrationTokensStore(),
    sessions: new SessionsStore(),
    threepids: new ThreepidsStore(),
  }
}

function createPasswords(hashing: { hashed: number; verified: number }, options: AccountOptions): Passwords {
  const hasher = {
    hash: (password: string) => {
      hashing.hashed += 1
      return Promise.resolve(`hash of ${password}`)
    },
    verify: (password: string, hash: string) => {
      hashing.verified += 1
      return Promise.resolve(hash === `hash of ${password}`)
    },
  }
  const policy: PasswordPolicy = {
    enabled: false,
    minimumLength: 0,
    requireDigit: false,
    requireSymbol: false,
    requireLowercase: false,
    requireUppercase: false,
    ...options.policy,
  }
  return new Passwords(hasher, { policy, concurrency: 2 })
}

function openStream(db: Database, sequence: string, table: string): Promise<StreamIdGenerator> {
  return StreamIdGenerator.open(db, { sequence, table, column: 'stream_id' })
}

function rethrow(error: unknown): never {
  throw error
}
