import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { ServerKeys } from '../config/signing-key-file.js'
import { checkFilter } from '../protocol/event-filter.js'
import { serverNameOf } from '../protocol/ids.js'
import { createSigner } from '../protocol/signing-keys.js'
import type { RateLimits } from '../services/accounts/ratelimits.js'
import type { Authenticator } from '../services/accounts/requester.js'
import type { AppserviceRegistry } from '../services/appservices/appservice-registry.js'
import { KeyCleanup } from '../services/devices/key-cleanup.js'
import type { FederationClient } from '../services/remote/federation-client.js'
import type { Services } from '../services/services.js'
import { LocalBus } from '../services/streams/local-bus.js'
import type { Notifier } from '../services/streams/notifier.js'
import { DelayedEventsStore } from '../storage/stores/delayed-events.js'
import { ThreadSubscriptionsStore } from '../storage/stores/thread-subscriptions.js'
import type { Logger } from '../telemetry/logger.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Clock } from '../util/clock.js'
import { BcryptHasher } from '../util/password-hash.js'
import type { BackgroundServices, BackgroundWork } from './lifecycle.js'
import { createOutboundHttp } from './outbound-http.js'
import { createOutboundMail } from './outbound-mail.js'
import { SESSION_CACHE_SIZE, toAccountOptions, toEphemeralOptions } from './homeserver-options.js'
import { toRoomOptions } from './room-options.js'
import { createAccountServices, createAccountStores } from './wire-accounts.js'
import { createAppserviceLookups, createAppserviceServices } from './wire-appservices.js'
import { createDelayedEvents } from './wire-delayed-events.js'
import { createDeliveryServices, createDeliveryStores, createPushers } from './wire-delivery.js'
import { createDiscoveryServices, createDiscoveryStores } from './wire-discovery.js'
import {
  createEphemeralServices,
  createEphemeralStores,
  createPushAudience,
  createToDevice,
  followMemberships,
} from './wire-ephemeral.js'
import { createEventServices, createEventStores, type EventServices } from './wire-events.js'
import { createFederationInbound } from './wire-federation-inbound.js'
import {
  createFederationOutbound,
  createRemoteDevices,
  createRemoteLookups,
} from './wire-federation-outbound.js'
import { createFederationMembership } from './wire-federation-membership.js'
import { createKeyServices, createKeyStores } from './wire-keys.js'
import { createMediaServices } from './wire-media.js'
import { createReadingServices, createReadingStores } from './wire-reading.js'
import { createRemote, type NetworkParts } from './wire-remote.js'
import { createRetention } from './wire-retention.js'
import { createRoomServices, createRoomStores } from './wire-rooms.js'
import { createConnections, createSlidingSyncServices } from './wire-sliding-sync.js'
import type { Storage } from './wire-storage.js'
import { createServerNotices } from './wire-notices.js'
import { createSyncServices } from './wire-sync.js'

export interface ServiceParts {
  readonly config: HomeserverConfig
  readonly storage: Storage
  readonly serverKeys: ServerKeys
  readonly network: NetworkParts
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly rateLimits: RateLimits
  /** The application services, which may change while the server runs. */
  readonly registry: AppserviceRegistry
  /** The program's name and version. */
  readonly version: string
}

/** The services, and what only the process has to do with. */
export interface WiredServices extends BackgroundServices {
  readonly services: Services
  readonly stores: Stores
  readonly notifier: Notifier
  /** Knows everybody who has an access token. */
  readonly authenticator: Authenticator
}

export type Stores = ReturnType<typeof createStores>

function createStores({ config, storage: { caches } }: ServiceParts) {
  const events = createEventStores(caches, { eventCacheSize: config.caches.eventCacheSize })
  return {
    ...events,
    ...createAccountStores(caches, { cacheSize: SESSION_CACHE_SIZE }),
    ...createDeliveryStores(),
    ...createDiscoveryStores(),
    ...createEphemeralStores(caches),
    ...createKeyStores(caches),
    ...createReadingStores(events.events),
    ...createRoomStores(events),
  }
}

/** Constructs all services, each after those it needs. */
export function createServices(parts: ServiceParts): WiredServices {
  const { config, storage, clock, logger, metrics, version } = parts
  const { db, streams } = storage
  const { serverName } = config.server
  const onError = (err: unknown): void => logger.error({ err }, 'Work in the background failed')
  const stores = createStores(parts)
  const bus = new LocalBus(onError)
  const shared = { db, clock, positions: bus, onError }
  const remote = createRemote({ ...parts, onError })
  const { eventPersister, ...events } = createWritePath(parts, {
    client: remote.federationClient,
    stores,
    bus,
    pushRules: { evaluatorsOfChanged: (userIds) => accounts.pushRules.evaluatorsOfChanged(userIds) },
  })
  const http = createOutboundHttp(parts)
  const mail = createOutboundMail(config)
  const lookups = createAppserviceLookups({ ...parts, http, roomState: events.roomState }, stores)
  const federating = { storage, serverName, clock, bus, remote, onError }
  const remoteLookups = createRemoteLookups(federating)
  const remoteDevices = createRemoteDevices(federating, stores, () => outbound.sender)
  const toDevice = createToDevice(
    {
      ...shared,
      ...remoteDevices.toDevice,
      serverName,
      devices: stores.devices,
      streamIds: streams.toDevice,
    },
    stores,
  )
  const keyCleanup = new KeyCleanup(stores)
  const connections = createConnections(storage, clock)
  const pushers = createPushers(parts, stores)
  const { sightings, ...accounts } = createAccountServices(
    {
      ...shared,
      accountDataStream: streams.accountData,
      deviceListStream: streams.deviceLists,
      pushRulesStream: streams.pushRules,
      rateLimits: parts.rateLimits,
      registry: parts.registry,
      queries: lookups.queries,
      hasher: createHasher(config),
      checkFilter,
      shareRoom: (a, b) => stores.members.shareRoom(db.reader, a, b),
      onProfileChanged: (change) => rooms.profileUpdates.onProfileChanged(change),
      checkAvatar: (uri) => media.avatarRules.check(uri),
      remoteProfiles: remoteLookups.remoteProfiles,
      deviceCleanups: [toDevice, keyCleanup, pushers, connections],
      userCleanups: [keyCleanup, pushers, new ThreadSubscriptionsStore(), new DelayedEventsStore()],
      autoJoiner: { joinAutoJoinRooms: (userId) => autoJoin.joinAutoJoinRooms(userId) },
      rooms: { leaveAllRooms: (userId) => departures.leaveAllRooms(userId) },
    },
    stores,
    toAccountOptions(config, version),
  )
  const { localKeys, ...keys } = createKeyServices(
    {
      ...shared,
      ...accounts,
      serverName,
      streams,
      toDevice,
      remoteKeys: remoteDevices.remoteKeys,
      tellsDeviceNames: config.federation.allowsDeviceNameLookup,
    },
    stores,
  )
  const ephemeral = createEphemeralServices(
    {
      ...shared,
      caches: storage.caches,
      receiptStream: streams.receipts,
      presenceStream: streams.presence,
      accountDataStore: stores.accountData,
      accountData: accounts.accountData,
      pushRules: accounts.pushRules,
      roomState: events.roomState,
      isRemote: (userId) => serverNameOf(userId) !== serverName,
      mayBeIn: async (roomId, userId) => {
        const room = await stores.rooms.get(db.reader, roomId)
        const partial = room && events.partialRooms.get(room.roomNid)
        return partial?.servers.includes(serverNameOf(userId)) === true
      },
      onTyping: (roomId, userId, typing) => outbound.onTyping(roomId, userId, typing),
    },
    stores,
    toEphemeralOptions(config),
  )
  const inbound = createFederationInbound(
    {
      ...parts,
      ...remote,
      ...events,
      db,
      serverName,
      onAccepted: (room, { type }) => {
        if (type === 'm.room.guest_access') void guestAccess.enforce(room.roomId).catch(onError)
      },
    },
    stores,
  )
  const membership = createFederationMembership(
    {
      ...parts,
      ...remote,
      ...events,
      db,
      serverName,
      inbound,
      authoriser: { judge: (room, userId) => restrictedJoins.judge(room, userId) },
      onlyAdminsInvite: config.server.blockNonAdminInvites,
    },
    stores,
  )
  const { autoJoin, departures, succession, guestAccess, restrictedJoins, ...rooms } = createRoomServices(
    {
      ...shared,
      ...events,
      eventStream: streams.events,
      accountDataStream: streams.accountData,
      pushRules: accounts.pushRules,
      rateLimits: parts.rateLimits,
      namespaces: parts.registry,
      ...lookups,
      handshakes: membership.handshakes,
      acls: inbound.acls,
      remoteLookups,
      isAllowed: (roomId, server) => inbound.acls.isAllowed(roomId, server),
      onJoined: (userId, room) => outbound.introductions.onJoined(userId, room),
    },
    stores,
    toRoomOptions(config),
  )
  const outbound = createFederationOutbound(
    {
      ...federating,
      ...accounts,
      ...keys,
      ...ephemeral,
      logger,
      remoteDevices,
      localKeys,
      toDevice,
      edus: inbound.edus,
      roomState: events.roomState,
      partialRooms: events.partialRooms,
      members: stores.members,
    },
    stores,
  )
  const retention = createRetention({ ...parts, bus }, stores)
  const { reading, ...readers } = createReadingServices(
    {
      db,
      clock,
      eventsPosition: () => streams.events.position(),
      roomState: events.roomState,
      partialRooms: events.partialRooms,
      history: inbound,
      isServiceInRoom: (id, room) => appservices.audience.isInside(id, room),
      retention: retention.policies,
    },
    stores,
    stores,
  )
  bus.subscribe(followMemberships(ephemeral.typing, onError))
  const { notifier, ignored, reads, ...syncs } = createSyncServices(
    { ...accounts, ...keys, ...ephemeral, ...reading, ...events, storage, clock, bus, toDevice },
    stores,
    { serverName, maxLimit: config.server.filterTimelineLimit },
  )
  const watching = { bus, streams, notifier, reading, sightings }
  const discovery = createDiscoveryServices(
    { ...shared, ...events, ...readers, ...accounts, ...syncs, ...watching, threepidCleanup: pushers },
    stores,
    config,
  )
  const delivery = createDeliveryServices(
    {
      ...parts,
      ...accounts,
      ...ephemeral,
      ...reading,
      bus,
      http,
      mail,
      pushers,
      ignored,
      hiddenInviters: reads.hiddenInviters,
      onError,
    },
    stores,
  )
  const appservices = createAppserviceServices(
    { ...parts, ...lookups, ...accounts, ...keys, ...ephemeral, ...reading, bus, sightings, onError },
    stores,
  )
  const { delayedEvents, ...delayed } = createDelayedEvents(
    { ...parts, ...rooms, roomState: events.roomState, onError },
    stores,
  )
  const sliding = createSlidingSyncServices({
    ...parts,
    ...accounts,
    ...keys,
    ...ephemeral,
    ...syncs,
    bus,
    connections,
    reads,
    reading,
    notifier,
    ignored,
    toDevice,
  })
  const serverNotices = createServerNotices(
    { ...shared, ...stores, accountData: accounts.accountData },
    { ...rooms, ...events },
    config,
  )
  const media = createMediaServices({ ...parts, ...remote })
  const services = {
    ...accounts,
    ...keys,
    ...ephemeral,
    ...rooms,
    ...readers,
    ...syncs,
    ...discovery.services,
    ...media.services,
    ...sliding.services,
    delayedEvents,
    serverNotices,
    ...appservices.services,
    ...delivery.services,
    ...remote.services,
    ...inbound.services,
    ...outbound.services,
    ...membership.services,
    toDevice,
    metrics,
  }
  const background: BackgroundWork[] = [
    { stop: () => http.close() },
    remote.background,
    membership.background,
    inbound.background,
    remoteDevices.background,
    outbound.background,
    ...discovery.background,
    ...retention.background,
    ...media.background,
    sliding.background,
    delayed.background,
    appservices.background,
    delivery.background,
  ]
  const { authenticator } = appservices
  return { services, stores, notifier, authenticator, succession, sightings, eventPersister, background }
}

/** What makes and commits events, with those who count what is unread of them. */
function createWritePath(
  { config, storage, clock, serverKeys }: ServiceParts,
  shared: {
    stores: Stores
    bus: LocalBus
    client: FederationClient
    pushRules: Parameters<typeof createPushAudience>[2]
  },
): EventServices {
  const { stores, bus, client } = shared
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
      pushAudience,
      positions: bus,
      signer: createSigner(serverName, serverKeys.signing),
    },
    stores,
    { serverName, countsUnread: config.push.enabled },
  )
}

function createHasher({ sessions }: HomeserverConfig): BcryptHasher {
  return new BcryptHasher({ rounds: sessions.passwords.bcryptRounds, pepper: sessions.passwords.pepper })
}
