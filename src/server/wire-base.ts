import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { ServerKeys } from '../config/signing-key-file.js'
import type { RoomId, UserId } from '../protocol/ids.js'
import type { JsonSigner } from '../protocol/signed-json.js'
import type { Profiles } from '../services/accounts/profiles.js'
import type { PushRules } from '../services/accounts/push-rules.js'
import type { RatelimitOverrides } from '../services/accounts/ratelimit-overrides.js'
import type { RateLimits } from '../services/accounts/ratelimits.js'
import type { SpamChecks } from '../services/accounts/spam-checks.js'
import type { AppserviceRegistry } from '../services/appservices/appservice-registry.js'
import type { AccountRegistration } from '../services/journeys/account-registration.js'
import type { AppserviceAudience } from '../services/delivery/appservice-audience.js'
import type { FederationSender } from '../services/federation/federation-sender.js'
import type { AutoJoin } from '../services/rooms/auto-join.js'
import type { UsageNotices } from '../services/journeys/usage-notices.js'
import type { FederationClient } from '../services/remote/federation-client.js'
import type { ProfileUpdates } from '../services/rooms/profile-updates.js'
import type { RoomDepartures } from '../services/rooms/room-departures.js'
import { IdentityServerClient } from '../net/clients/identity-server-client.js'
import { ErasedUsers } from '../services/events/erased-users.js'
import { PrejoinState } from '../services/events/prejoin-state.js'
import { RoomBlocks } from '../services/rooms/room-blocks.js'
import type { SignOn } from '../services/sign-on/sign-on.js'
import { LocalBus } from '../services/streams/local-bus.js'
import { LastingTasks } from '../services/tasks/lasting-tasks.js'
import { BlockedRoomsStore } from '../storage/stores/blocked-rooms.js'
import { LastingTasksStore } from '../storage/stores/lasting-tasks.js'
import type { Logger } from '../telemetry/logger.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Clock } from '../util/clock.js'
import { SESSION_CACHE_SIZE } from './homeserver-options.js'
import { createOutboundHttp } from './outbound-http.js'
import { createOutboundMail } from './outbound-mail.js'
import { createAccountStores } from './wire-accounts.js'
import { createAppserviceLookups } from './wire-appservices.js'
import { createDeliveryStores } from './wire-delivery.js'
import { createDiscoveryStores } from './wire-discovery.js'
import { createEphemeralStores, createPushAudience, createToDevice } from './wire-ephemeral.js'
import { createEventServices, createEventStores, type EventServices } from './wire-events.js'
import { createRemoteDevices, createRemoteLookups } from './wire-federation-outbound.js'
import { createKeyStores } from './wire-keys.js'
import { createMediaServices } from './wire-media.js'
import { createSpamChecks } from './wire-modules.js'
import { createReadingStores } from './wire-reading.js'
import { createRemote, type NetworkParts } from './wire-remote.js'
import { createRoomStores } from './wire-rooms.js'
import type { Storage } from './wire-storage.js'

/** What the process gives to its services. */
export interface ServiceParts {
  readonly config: HomeserverConfig
  readonly storage: Storage
  readonly serverKeys: ServerKeys
  readonly signer: JsonSigner
  readonly network: NetworkParts
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly rateLimits: RateLimits
  readonly ratelimitOverrides: RatelimitOverrides
  /** The application services, which may change while the server runs. */
  readonly registry: AppserviceRegistry
  /** The program's name and version. */
  readonly version: string
}

/** Services that come after some of those who call them. */
interface LaterServices {
  readonly pushRules: PushRules
  readonly profileUpdates: ProfileUpdates
  readonly autoJoin: AutoJoin
  readonly departures: RoomDepartures
  readonly sender: Pick<FederationSender, 'noteOutbox'>
  readonly onTyping: (roomId: RoomId, userId: UserId, typing: boolean) => void
  readonly audience: Pick<AppserviceAudience, 'isInside'>
  readonly usageNotices: Pick<UsageNotices, 'onCounted'>
  readonly profiles: Pick<Profiles, 'setField'>
  readonly registration: Pick<AccountRegistration, 'registerSignedOn'>
  /** Throws where there is no place for a new account. */
  readonly checkNewcomer: () => Promise<void>
  readonly signOn: Pick<SignOn, 'listFlows' | 'listStages'>
}

/** Holds what is constructed later, for those who call it only when the server runs. */
export class Later {
  readonly #known: Partial<LaterServices> = {}

  provide(services: Partial<LaterServices>): void {
    Object.assign(this.#known, services)
  }

  /** Throws before it has been provided. */
  get<Name extends keyof LaterServices>(name: Name): LaterServices[Name] {
    const service = this.#known[name]
    if (service === undefined) throw new Error(`${name} is called before it has been constructed`)
    return service
  }
}

export type Stores = ReturnType<typeof createStores>
export type Base = ReturnType<typeof createBase>

/** What reads and writes rows: everybody of one process has the same, so that caches agree. */
export function createStores({
  config,
  storage: { caches },
}: {
  readonly config: Pick<HomeserverConfig, 'caches' | 'rooms'>
  readonly storage: Pick<Storage, 'caches'>
}) {
  const events = createEventStores(caches, { eventCacheSize: config.caches.eventCacheSize })
  return {
    ...events,
    ...createAccountStores(caches, { cacheSize: SESSION_CACHE_SIZE }),
    ...createDeliveryStores(),
    ...createDiscoveryStores(),
    ...createEphemeralStores(caches, config.rooms),
    ...createKeyStores(caches),
    ...createReadingStores(events.events),
    ...createRoomStores(events),
  }
}

/** Constructs what all others stand on: stores, the bus, the write path, and the ways to other servers. */
export function createBase(parts: ServiceParts) {
  const { config, storage, clock, logger } = parts
  const { db, streams } = storage
  const { serverName } = config.server
  const onError = (err: unknown): void => logger.error({ err }, 'Work in the background failed')
  const later = new Later()
  const stores = createStores(parts)
  const bus = new LocalBus(onError)
  const shared = { db, clock, positions: bus, onError }
  const lastingTasks = new LastingTasks({ ...shared, store: new LastingTasksStore() })
  const remote = createRemote({ ...parts, onError })
  const http = createOutboundHttp(parts)
  const spam = createSpamChecks(parts, http)
  const { eventPersister, ...events } = createWritePath(parts, {
    spam,
    stores,
    bus,
    client: remote.federationClient,
    pushRules: {
      evaluatorsOfChanged: (userIds) => later.get('pushRules').evaluatorsOfChanged(userIds),
      defaultEvaluator: (userId) => later.get('pushRules').defaultEvaluator(userId),
    },
  })
  const federating = { storage, serverName, clock, bus, remote, onError }
  const remoteDevices = createRemoteDevices(federating, stores, () => later.get('sender'))
  return {
    parts,
    later,
    stores,
    bus,
    shared,
    remote,
    events,
    eventPersister,
    spam,
    lastingTasks,
    roomBlocks: new RoomBlocks({ db, store: new BlockedRoomsStore(), tasks: lastingTasks }),
    http,
    identity: new IdentityServerClient(http.toIdentityServers),
    mail: createOutboundMail(config),
    erased: new ErasedUsers(db, stores.users),
    prejoin: new PrejoinState(stores, config.rooms.prejoinState),
    federating,
    remoteDevices,
    media: createMediaServices({ ...parts, ...remote }),
    remoteLookups: createRemoteLookups(federating),
    lookups: createAppserviceLookups({ ...parts, http }),
    toDevice: createToDevice(
      {
        ...shared,
        ...remoteDevices.toDevice,
        serverName,
        devices: stores.devices,
        streamIds: streams.toDevice,
      },
      stores,
    ),
  }
}

/** What makes and commits events, with those who count what is unread of them. */
function createWritePath(
  { config, storage, clock, signer }: ServiceParts,
  shared: {
    stores: Stores
    bus: LocalBus
    client: FederationClient
    spam: SpamChecks | undefined
    pushRules: Parameters<typeof createPushAudience>[2]
  },
): EventServices {
  const { stores, bus, client, spam } = shared
  const { serverName } = config.server
  const pushAudience = createPushAudience(
    { db: storage.db },
    { ...stores, caches: storage.caches },
    shared.pushRules,
  )
  bus.subscribe(pushAudience)
  return createEventServices(
    {
      storage,
      clock,
      client,
      spam,
      pushAudience,
      positions: bus,
      signer,
    },
    stores,
    {
      serverName,
      countsUnread: config.push.enabled,
      silentRooms: config.rooms.excludedFromSync,
      defaultPushRules: config.experimental.defaultPushRules,
      forgetsRoomsOnLeave: config.rooms.forgetOnLeave,
    },
  )
}
