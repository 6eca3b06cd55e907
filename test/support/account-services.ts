import {
  createAccountServices as wire,
  createAccountStores,
  type AccountOptions as WiredOptions,
  type AccountServices,
  type AccountStores,
} from '../../src/server/wire-accounts.js'
import { RateLimits } from '../../src/services/accounts/ratelimits.js'
import type { BucketRate } from '../../src/util/leaky-bucket.js'
import type { ProfileChange } from '../../src/services/accounts/profiles.js'
import type { Requester } from '../../src/services/accounts/requester.js'
import type { DeviceCleanup } from '../../src/services/devices/devices.js'
import type { UserCleanup } from '../../src/services/journeys/account-deactivation.js'
import type { PositionHints } from '../../src/services/streams/notifier.js'
import type { DeviceId, ServerName, UserId } from '../../src/protocol/ids.js'
import { CacheRegistry } from '../../src/storage/cache-registry.js'
import type { Database } from '../../src/storage/database.js'
import { StreamIdGenerator } from '../../src/storage/streams/stream-id-generator.js'
import { createMetrics } from '../../src/telemetry/metrics.js'
import { ManualClock } from './manual-clock.js'

export const SERVER_NAME = 'hs.test' as ServerName
export const SHARED_SECRET = 'a shared secret'
const UNLIMITED = { perSecond: 1000, burstCount: 1000 }

export const CLIENT = { ip: '127.0.0.1', userAgent: 'test' }

/** What a test wants to be different from the defaults. */
export interface AccountOptions {
  readonly registration?: Partial<WiredOptions['registration']>
  readonly login?: Partial<WiredOptions['login']>
  readonly lifetimes?: Partial<WiredOptions['lifetimes']>
  readonly profile?: Partial<WiredOptions['profiles']>
  readonly policy?: Partial<WiredOptions['passwords']['policy']>
  readonly sharedSecret?: string | undefined
  readonly accountDataRemoval?: boolean
  readonly uiAuthReuseMs?: number
  readonly failedAttempts?: BucketRate
  readonly deviceCleanups?: readonly DeviceCleanup[]
  readonly userCleanups?: readonly UserCleanup[]
}

/** The services of accounts on a database, with a clock that stands still and what they have told others. */
export interface AccountFixture {
  readonly services: AccountServices
  readonly db: Database
  readonly clock: ManualClock
  readonly stores: AccountStores
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

export async function createAccountServices(
  db: Database,
  options: AccountOptions = {},
): Promise<AccountFixture> {
  const clock = new ManualClock()
  const stores = createAccountStores(new CacheRegistry(createMetrics()), { cacheSize: 100 })
  const positions: AccountFixture['positions'] = []
  const profileChanges: ProfileChange[] = []
  const joined: UserId[] = []
  const left: UserId[] = []
  const hashing = { hashed: 0, verified: 0 }
  const services = wire(
    {
      db,
      clock,
      positions: { onNewPosition: (stream, hints) => positions.push({ stream, hints }) },
      accountDataStream: await openStream(db, 'account_data_stream_seq', 'account_data'),
      deviceListStream: await openStream(db, 'device_lists_stream_seq', 'device_list_changes'),
      pushRulesStream: await openStream(db, 'push_rules_stream_seq', 'push_rules'),
      hasher: countingHasher(hashing),
      rateLimits: new RateLimits(clock, {
        loginAccount: UNLIMITED,
        loginFailedAttempts: options.failedAttempts ?? UNLIMITED,
      }),
      checkFilter: () => undefined,
      shareRoom: () => Promise.resolve(false),
      checkAvatar: () => Promise.resolve(),
      onProfileChanged: (change) => profileChanges.push(change),
      deviceCleanups: options.deviceCleanups ?? [],
      userCleanups: options.userCleanups ?? [],
      emailValidations: { consume: () => Promise.resolve(undefined) },
      autoJoiner: { joinAutoJoinRooms: (userId) => remember(joined, userId) },
      rooms: { leaveAllRooms: (userId) => remember(left, userId) },
      onError: (error) => {
        throw error
      },
    },
    stores,
    withDefaults(options),
  )
  return {
    services,
    db,
    clock,
    stores,
    positions,
    profileChanges,
    joined,
    left,
    hashing,
    createUser: (localpart, { isAdmin = false } = {}) => createUser(services, localpart, isAdmin),
  }
}

async function createUser(
  services: AccountServices,
  localpart: string,
  isAdmin: boolean,
): Promise<TestSession> {
  const { userId, session } = await services.accountRegistration.registerDirectly({
    username: localpart,
    password: 'secret',
    isAdmin,
  })
  if (session === undefined) throw new Error('No session has begun')
  const requester = await services.accessTokens.authenticate(session.accessToken, CLIENT)
  return { userId, deviceId: session.deviceId, token: session.accessToken, requester }
}

function withDefaults(options: AccountOptions): WiredOptions {
  return {
    registration: {
      serverName: SERVER_NAME,
      allowUnderscorePrefix: false,
      enabled: true,
      requiresToken: false,
      requiresCaptcha: false,
      requiresEmail: false,
      offersEmail: false,
      unavailableStage: undefined,
      guests: true,
      hideTakenNames: false,
      autoJoinGuests: true,
      ...options.registration,
    },
    notifiesByMail: false,
    login: {
      serverName: SERVER_NAME,
      passwordLogin: true,
      passwordReauth: true,
      loginTokens: true,
      loginTokenLifetimeMs: 120_000,
      ...options.login,
    },
    lifetimes: {
      sessionMs: undefined,
      refreshableAccessTokenMs: 300_000,
      refreshTokenMs: undefined,
      nonrefreshableAccessTokenMs: undefined,
      ...options.lifetimes,
    },
    profiles: {
      serverName: SERVER_NAME,
      requireAuth: false,
      onlySharedRooms: false,
      maySetDisplayName: true,
      maySetAvatarUrl: true,
      mayInhibitPropagation: false,
      ...options.profile,
    },
    passwords: {
      concurrency: 2,
      policy: {
        enabled: false,
        minimumLength: 0,
        requireDigit: false,
        requireSymbol: false,
        requireLowercase: false,
        requireUppercase: false,
        ...options.policy,
      },
    },
    description: {
      serverName: SERVER_NAME,
      version: 'mxhs 0.0.0',
      defaultRoomVersion: '12',
      forgetsRoomsOnLeave: false,
      threepidChanges: false,
      loginTokens: { enabled: true, requireUiAuth: true },
      wellKnown: { publicBaseUrl: 'https://hs.test/', identityServerUrl: undefined, extra: {} },
      adminContact: undefined,
      servesServerWellKnown: false,
      configuredFeatures: {},
    },
    accountDataRemoval: options.accountDataRemoval ?? false,
    defaultPushRules: { textMentions: true, polls: false },
    sharedSecret: 'sharedSecret' in options ? options.sharedSecret : SHARED_SECRET,
    userTypes: ['bot', 'support'],
    uiAuthReuseMs: options.uiAuthReuseMs ?? 0,
    cacheSize: 100,
  }
}

function countingHasher(hashing: AccountFixture['hashing']) {
  return {
    hash: (password: string) => {
      hashing.hashed += 1
      return Promise.resolve(`hash of ${password}`)
    },
    verify: (password: string, hash: string) => {
      hashing.verified += 1
      return Promise.resolve(hash === `hash of ${password}`)
    },
  }
}

function remember(list: UserId[], userId: UserId): Promise<void> {
  list.push(userId)
  return Promise.resolve()
}

function openStream(db: Database, sequence: string, table: string): Promise<StreamIdGenerator> {
  return StreamIdGenerator.open(db, { sequence, table, column: 'stream_id' })
}
