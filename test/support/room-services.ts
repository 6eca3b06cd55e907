import { IdentityServerClient } from '../../src/net/clients/identity-server-client.js'
import { HttpFailure } from '../../src/net/http-failure.js'
import { createEventServices, createEventStores } from '../../src/server/wire-events.js'
import { createRoomServices, createRoomStores, type RoomOptions } from '../../src/server/wire-rooms.js'
import { RateLimits, type RateLimitSettings } from '../../src/services/accounts/ratelimits.js'
import { PushRules } from '../../src/services/accounts/push-rules.js'
import type { Requester } from '../../src/services/accounts/requester.js'
import type { RoomWish } from '../../src/services/rooms/room-creation.js'
import type { DeviceId, RoomId, ServerName, UserId } from '../../src/protocol/ids.js'
import { createSigner, makeSigningKey } from '../../src/protocol/signing-keys.js'
import { CacheRegistry } from '../../src/storage/cache-registry.js'
import type { Database } from '../../src/storage/database.js'
import { AccountDataStore } from '../../src/storage/stores/account-data.js'
import { ProfilesStore } from '../../src/storage/stores/profiles.js'
import { PUSH_RULES_STREAM, PushRulesStore } from '../../src/storage/stores/push-rules.js'
import { UsersStore } from '../../src/storage/stores/users.js'
import { IdAllocator, type SequenceOptions } from '../../src/storage/streams/sequences.js'
import { StreamIdGenerator } from '../../src/storage/streams/stream-id-generator.js'
import { createMetrics } from '../../src/telemetry/metrics.js'
import type { JsonObject } from '../../src/util/json.js'
import { ManualClock } from './manual-clock.js'

const ROOMS_SERVER = 'hs.test' as ServerName

/** What a test wants to be different from the defaults. */
export interface RoomFixtureOptions {
  readonly creation?: Partial<RoomOptions['creation']>
  readonly membership?: Partial<RoomOptions['membership']>
  readonly invitations?: Partial<RoomOptions['invitations']>
  readonly directory?: Partial<RoomOptions['directory']>
  readonly autoJoin?: Partial<RoomOptions['autoJoin']>
  readonly aliasesNeedMembership?: boolean
  readonly aliasCreationRules?: RoomOptions['aliasCreationRules']
  readonly publicationRules?: RoomOptions['publicationRules']
  readonly limits?: RateLimitSettings
  readonly forgetsRoomsOnLeave?: boolean
}

export type RoomFixture = Awaited<ReturnType<typeof createRoomFixture>>

const EVENTS = { table: 'events', column: 'stream_ordering' }
const ACCOUNT_DATA = { sequence: 'account_data_stream_seq', table: 'account_data', column: 'stream_id' }
const UNLIMITED = { perSecond: 1e6, burstCount: 1e6 }
const ALLOW_ALL = [{ userId: '*', alias: '*', roomId: '*', action: 'allow' }] as const
const SECTIONS = [
  'message',
  'adminRedaction',
  'joinsLocal',
  'joinsPerRoom',
  'invitesPerRoom',
  'invitesPerUser',
  'invitesPerIssuer',
] as const

/** The services of rooms on a database, above the real write path. */
export async function createRoomFixture(db: Database, options: RoomFixtureOptions = {}) {
  const clock = new ManualClock()
  const caches = new CacheRegistry(createMetrics())
  const eventStores = createEventStores(caches, { eventCacheSize: 1000 })
  const stores = {
    ...eventStores,
    ...createRoomStores(eventStores),
    accountData: new AccountDataStore(),
    profiles: new ProfilesStore(),
    users: new UsersStore(),
  }
  const streams = {
    events: await StreamIdGenerator.open(db, { ...EVENTS, sequence: 'events_stream_seq' }),
    backfill: await StreamIdGenerator.open(db, { ...EVENTS, sequence: 'events_backfill_seq', negated: true }),
    accountData: await StreamIdGenerator.open(db, ACCOUNT_DATA),
  }
  const positions = { onNewPosition: () => undefined }
  const errors: unknown[] = []
  const written = createEventServices(
    {
      storage: { db, streams: streams as never, ids: await openIds(db) },
      clock,
      positions,
      signer: createSigner(ROOMS_SERVER, makeSigningKey('test', Buffer.alloc(32, 7))),
    },
    eventStores,
    { serverName: ROOMS_SERVER, countsUnread: true, forgetsRoomsOnLeave: options.forgetsRoomsOnLeave },
  )
  const pushRules = new PushRules({
    db,
    pushRules: new PushRulesStore(caches, { cacheSize: 100 }),
    streamIds: await StreamIdGenerator.open(db, PUSH_RULES_STREAM),
    positions,
  })
  const limits = Object.fromEntries(SECTIONS.map((section) => [section, UNLIMITED]))
  const { services: endpoints, ...others } = createRoomServices(
    {
      db,
      clock,
      positions,
      eventStream: streams.events,
      accountDataStream: streams.accountData,
      pushRules,
      roomState: written.roomState,
      eventSender: written.eventSender,
      identity: new IdentityServerClient({ request: () => Promise.reject(NO_NETWORK) }),
      rateLimits: new RateLimits(clock, { ...limits, ...options.limits }),
      onError: (error) => errors.push(error),
    },
    stores,
    withDefaults(options),
  )
  const services = { ...endpoints, ...others }
  const fixture = { db, clock, stores, services, pushRules, roomState: written.roomState, errors }
  return {
    ...fixture,
    sender: written.eventSender,
    user: (localpart: string, flags: Partial<Requester> = {}) => createUser(fixture, localpart, flags),
    createRoom: async (requester: Requester, wish: RoomWish = {}): Promise<RoomId> =>
      (await services.roomCreation.create(requester, wish)).roomId,
    state: async (roomId: RoomId, type: string, stateKey = ''): Promise<JsonObject | undefined> =>
      (await written.roomState.getStateEvent(roomId, type, stateKey))?.event.content,
    membership: async (roomId: RoomId, userId: UserId): Promise<string | undefined> =>
      (await written.roomState.getMembership(roomId, userId))?.membership,
    setProfile: async (userId: UserId, profile: { displayName?: string; avatarUrl?: string }) => {
      await db.write('test', (tx) =>
        stores.profiles.put(tx, userId, {
          displayName: profile.displayName,
          avatarUrl: profile.avatarUrl,
          fields: {},
        }),
      )
    },
  }
}

async function createUser(
  { db, stores, clock }: { db: Database; stores: { users: UsersStore }; clock: ManualClock },
  localpart: string,
  flags: Partial<Requester>,
): Promise<Requester> {
  const userId = `@${localpart}:${ROOMS_SERVER}` as UserId
  const isGuest = flags.isGuest ?? false
  await db.write('test', (tx) =>
    stores.users.insert(tx, { userId, passwordHash: undefined, createdTs: clock.now(), isGuest }),
  )
  return {
    userId,
    deviceId: 'DEVICE' as DeviceId,
    isGuest: false,
    isAdmin: false,
    isShadowBanned: false,
    isSuspended: false,
    isLocked: false,
    tokenId: 1,
    appserviceId: undefined,
    ...flags,
  }
}

const NO_NETWORK = new HttpFailure('unreachable', 'there is no network')

function withDefaults(options: RoomFixtureOptions): RoomOptions {
  return {
    serverName: ROOMS_SERVER,
    creation: {
      defaultRoomVersion: '12',
      encryptedPresets: new Set(),
      presetPowerLevels: {},
      ...options.creation,
    },
    membership: { perRoomProfiles: true, ...options.membership },
    invitations: { onlyAdminsInvite: false, includeProfile: true, ...options.invitations },
    directory: { isSearchable: true, withoutAuth: false, forServers: false, ...options.directory },
    aliasesNeedMembership: options.aliasesNeedMembership ?? true,
    aliasCreationRules: options.aliasCreationRules ?? ALLOW_ALL,
    publicationRules: options.publicationRules ?? ALLOW_ALL,
    asksIdentityServers: true,
    sendsSticky: false,
    autoJoin: {
      rooms: [],
      createsRooms: true,
      isFederated: true,
      preset: 'public_chat',
      inviterLocalpart: undefined,
      ...options.autoJoin,
    },
  }
}

async function openIds(db: Database) {
  const open = (options: SequenceOptions): Promise<IdAllocator> => IdAllocator.open(db, options)
  return {
    rooms: await open({ sequence: 'room_nid_seq', table: 'rooms', column: 'room_nid' }),
    events: await open({ sequence: 'event_nid_seq', table: 'events', column: 'event_nid' }),
    stateKeys: await open({ sequence: 'state_key_nid_seq', table: 'state_keys', column: 'key_nid' }),
    snapshots: await open({
      sequence: 'snapshot_nid_seq',
      table: 'state_snapshots',
      column: 'snapshot_nid',
    }),
    authChains: await open({ sequence: 'auth_chain_nid_seq', table: 'auth_chains', column: 'chain_nid' }),
  }
}
