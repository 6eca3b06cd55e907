import { serverNameOf, type RoomId, type ServerName, type UserId } from '../protocol/ids.js'
import type { CrossSigning } from '../services/devices/cross-signing.js'
import { DeviceListResyncs } from '../services/devices/device-list-resyncs.js'
import type { Devices } from '../services/devices/devices.js'
import type { LocalKeys } from '../services/devices/local-keys.js'
import { RemoteDeviceLists } from '../services/devices/remote-device-lists.js'
import { RemoteKeys } from '../services/devices/remote-keys.js'
import { RemoteToDevice } from '../services/devices/remote-to-device.js'
import type { ToDevice } from '../services/devices/to-device.js'
import type { Presence } from '../services/ephemeral/presence.js'
import type { Receipts } from '../services/ephemeral/receipts.js'
import { RemotePresence } from '../services/ephemeral/remote-presence.js'
import { RemoteRoomEdus } from '../services/ephemeral/remote-room-edus.js'
import type { Typing } from '../services/ephemeral/typing.js'
import type { EventTail } from '../services/events/event-tail.js'
import type { PartialRooms } from '../services/events/partial-rooms.js'
import type { RoomState } from '../services/events/room-state.js'
import { AudienceLookup } from '../services/federation/audience-lookup.js'
import { DestinationBacklog } from '../services/federation/destination-backlog.js'
import { DeviceListAnswers } from '../services/federation/device-list-answers.js'
import { DeviceListEdus } from '../services/federation/device-list-edus.js'
import { DeviceListFeed } from '../services/federation/device-list-feed.js'
import { EarlyDeviceUpdates } from '../services/federation/early-device-updates.js'
import { DeviceListIntroductions } from '../services/federation/device-list-introductions.js'
import type { EduDispatcher } from '../services/federation/edu-dispatcher.js'
import type { EventAges } from '../services/federation/event-ages.js'
import { EventFeed } from '../services/federation/event-feed.js'
import { FederationSender } from '../services/federation/federation-sender.js'
import { StoredReceiptBacklog } from '../services/federation/missed-receipts.js'
import { MissedStickyEvents } from '../services/federation/missed-sticky-events.js'
import { PassingFeeds } from '../services/federation/passing-feeds.js'
import { RoomCompletions } from '../services/federation/room-completions.js'
import { RoomServers } from '../services/federation/room-servers.js'
import { StickyIntroductions } from '../services/federation/sticky-introductions.js'
import { ToDeviceOutbox } from '../services/federation/to-device-outbox.js'
import { RemoteDirectory } from '../services/remote/remote-directory.js'
import { RemoteHierarchies } from '../services/remote/remote-hierarchies.js'
import { RemoteProfiles } from '../services/remote/remote-profiles.js'
import { RemotePublicRooms } from '../services/remote/remote-public-rooms.js'
import type { LocalBus } from '../services/streams/local-bus.js'
import { FederationOutboxStore } from '../storage/stores/federation-outbox.js'
import { FederationPositionsStore } from '../storage/stores/federation-positions.js'
import { MissedRoomsStore } from '../storage/stores/missed-rooms.js'
import { ReceivedToDeviceStore } from '../storage/stores/received-to-device.js'
import { RelayedEventsStore } from '../storage/stores/relayed-events.js'
import { RemoteDevicesStore } from '../storage/stores/remote-devices.js'
import type { RoomMembersStore } from '../storage/stores/room-members.js'
import { RoomServersStore, usersOfPattern } from '../storage/stores/room-servers.js'
import { StateDeltasStore } from '../storage/stores/state-deltas.js'
import type { Logger } from '../telemetry/logger.js'
import type { Clock } from '../util/clock.js'
import type { BackgroundWork } from './lifecycle.js'
import type { RemoteServices } from './wire-remote.js'
import type { Stores } from './wire-base.js'
import type { Storage } from './wire-storage.js'

/** What everything of this part needs. */
interface SharedParts {
  readonly storage: Pick<Storage, 'db' | 'streams'>
  readonly serverName: ServerName
  readonly clock: Clock
  readonly bus: LocalBus
  readonly remote: Pick<RemoteServices, 'federationClient' | 'destinations'>
  readonly onError: (error: unknown) => void
}

/** What other servers are asked for clients. */
export interface RemoteLookups {
  readonly remoteProfiles: RemoteProfiles
  readonly remoteDirectory: RemoteDirectory
  readonly remotePublicRooms: RemotePublicRooms
  readonly remoteHierarchies: RemoteHierarchies
}

export function createRemoteLookups({ remote, clock }: Pick<SharedParts, 'remote' | 'clock'>): RemoteLookups {
  const client = remote.federationClient
  return {
    remoteProfiles: new RemoteProfiles(client),
    remoteDirectory: new RemoteDirectory(client),
    remotePublicRooms: new RemotePublicRooms(client),
    remoteHierarchies: new RemoteHierarchies({ client, clock }),
  }
}

const MINUTES = 60_000
const DAYS = 24 * 60 * MINUTES
/** Others take it that who was online is not any more after half an hour. */
const REPEAT_PRESENCE_MS = 25 * MINUTES
/** Messages for a server that is away for longer are given up, and its own that come again after as long are taken anew. */
const OUTBOX_LIFETIME_MS = 30 * DAYS

/** What there is between devices of this server's users and those of others'. */
export type RemoteDevices = ReturnType<typeof createRemoteDevices>

/** Constructs what devices need of other servers. `sender`: what sends to them, which comes later. */
export function createRemoteDevices(
  parts: SharedParts,
  stores: Pick<Stores, 'crossSigning' | 'devices'>,
  sender: () => Pick<FederationSender, 'noteOutbox'>,
) {
  const { clock, bus, remote, onError } = parts
  const { db, streams } = parts.storage
  const client = remote.federationClient
  const { crossSigning, devices } = stores
  const shared = { crossSigning, devices, db, clock, client, onError }
  const outbox = new FederationOutboxStore()
  const received = new ReceivedToDeviceStore()
  const remoteDevices = new RemoteDevicesStore()
  const toDeviceOutbox = new ToDeviceOutbox({
    ...shared,
    outbox,
    streamIds: streams.toDevice,
    mayTalkTo: (server) => client.mayTalkTo(server),
    onQueued: (destinations) => sender().noteOutbox(destinations),
  })
  const deviceLists: RemoteDeviceLists = new RemoteDeviceLists({
    ...shared,
    remoteDevices,
    streamIds: streams.deviceLists,
    eventsPosition: () => streams.events.position(),
    positions: bus,
    onStale: (userId) => resyncs.onStale(userId),
  })
  const resyncs = new DeviceListResyncs({
    ...shared,
    remoteDevices,
    deviceLists,
    destinations: remote.destinations,
  })
  return {
    stores: { outbox, received, remoteDevices },
    deviceLists,
    remoteKeys: new RemoteKeys({ ...shared, remoteDevices, deviceLists }),
    /** For `ToDevice`. */
    toDevice: {
      received: { store: received, clock },
      sendRemote: (sender: UserId, type: string, messages: Parameters<ToDeviceOutbox['send']>[2]) =>
        toDeviceOutbox.send(sender, type, messages),
    },
    background: {
      start: () => resyncs.start(),
      stop: () => resyncs.stop(),
      tasks: [
        {
          name: 'expire_federation_outbox',
          intervalMs: DAYS / 4,
          run: async () => {
            const before = clock.now() - OUTBOX_LIFETIME_MS
            await db.write('expire_federation_outbox', async (tx) => {
              await outbox.deleteOldEdus(tx, before)
              await outbox.foldDeviceChanges(tx, clock.now() - DAYS)
              await received.deleteOld(tx, before)
            })
          },
        },
      ],
    } satisfies BackgroundWork,
  }
}

export interface FederationOutboundParts extends SharedParts {
  readonly logger: Logger
  readonly remoteDevices: RemoteDevices
  readonly roomState: Pick<RoomState, 'getStateEventAt'>
  readonly eventTail: EventTail
  readonly partialRooms: Pick<PartialRooms, 'completedBetween' | 'get' | 'isAnyPartial' | 'isPartial'>
  readonly members: Pick<RoomMembersStore, 'sampleLocalMembers'>
  readonly devices: Devices
  readonly crossSigning: CrossSigning
  readonly localKeys: LocalKeys
  readonly toDevice: ToDevice
  readonly presence: Presence
  readonly typing: Typing
  readonly receipts: Receipts
  /** Where EDUs of other servers come from. */
  readonly edus: EduDispatcher
  /** `msc4354_enabled`. */
  readonly sendsSticky: boolean
  /** `federation_rr_transactions_per_room_per_second` */
  readonly receiptsPerRoomPerSecond: number
  /** `exclude_rooms_from_presence`. */
  readonly excludedFromPresence: ReadonlySet<RoomId>
  readonly ages: EventAges
}

/** Constructs what tells other servers of what happens here, and what takes in what they tell besides events. */
export function createFederationOutbound(
  parts: FederationOutboundParts,
  stores: Pick<Stores, 'devices' | 'events' | 'rooms' | 'stickyEvents'>,
) {
  const { serverName, remoteDevices, presence } = parts
  const { db, streams } = parts.storage
  const { outbox } = remoteDevices.stores
  const isRemote = (userId: UserId): boolean => serverNameOf(userId) !== serverName
  const remotePresence = new RemotePresence({
    ...parts,
    isRemote,
    filterSharing: (userIds) => remoteDevices.stores.remoteDevices.listFollowable(db.reader, userIds),
  })
  const { deviceLists } = remoteDevices
  const deviceUpdates = new EarlyDeviceUpdates({ ...parts, deviceLists })
  takeEdus(parts, { remotePresence, deviceUpdates })
  const feeds = createFeeds(parts, stores, { onJoin: () => remotePresence.onJoin() })
  const { events, passing, sender, audience } = feeds
  const introductions = new DeviceListIntroductions({
    ...parts,
    db,
    store: new RoomServersStore(),
    deviceStore: stores.devices,
    deviceListStream: streams.deviceLists,
    audience,
  })
  const completions = new RoomCompletions({
    ...parts,
    eventStream: streams.events,
    onMembersKnown: async (roomNids) => {
      await introductions.onMembersKnown(roomNids)
      await deviceUpdates.onMembersKnown()
    },
  })
  const followers = [events, feeds.deviceLists, passing, completions]
  for (const follower of followers) parts.bus.subscribe(follower)
  return {
    services: {
      deviceListAnswers: new DeviceListAnswers({ ...parts, db, outbox, deviceStore: stores.devices }),
    },
    sender,
    introductions,
    onTyping: (roomId: RoomId, userId: UserId, typing: boolean) => {
      if (!isRemote(userId)) passing.onTyping(roomId, userId, typing)
    },
    background: {
      start: async () => {
        await events.start()
        await feeds.deviceLists.start()
        passing.start()
        completions.start()
        remotePresence.start()
        await sender.start()
      },
      stop: async () => {
        await remotePresence.stop()
        feeds.sticky?.stop()
        await completions.stop()
        await passing.stop()
        await feeds.deviceLists.stop()
        await sender.stop()
        await events.stop()
      },
      tasks: [
        { name: 'forget_relayed_events', intervalMs: DAYS / 24, run: () => events.forgetRelayed() },
        {
          name: 'repeat_presence',
          intervalMs: REPEAT_PRESENCE_MS,
          run: () => passing.repeatPresence(presence.listPresent().filter((userId) => !isRemote(userId))),
        },
      ],
    } satisfies BackgroundWork,
  }
}

/** What follows streams, and sends what is new in them. */
function createFeeds(
  parts: FederationOutboundParts,
  stores: Pick<Stores, 'events' | 'rooms' | 'stickyEvents'>,
  { onJoin }: { readonly onJoin: () => void },
) {
  const { serverName, remoteDevices } = parts
  const { db, streams } = parts.storage
  const { outbox } = remoteDevices.stores
  const shared = {
    ...parts,
    db,
    outbox,
    events: stores.events,
    rooms: stores.rooms,
    positions: new FederationPositionsStore(),
    store: new RoomServersStore(),
    tail: parts.eventTail,
  }
  const localPattern = usersOfPattern(serverName)
  const roomServers = new RoomServers({ ...shared, deltas: new StateDeltasStore() })
  const sender = new FederationSender({
    ...shared,
    client: parts.remote.federationClient,
    destinations: parts.remote.destinations,
    backlog: new DestinationBacklog({
      ...shared,
      missed: new MissedRoomsStore(),
      deviceListEdus: new DeviceListEdus(shared),
      localPattern,
      serversInRooms: (roomNids) => audience.serversInRooms(roomNids),
      ...(parts.sendsSticky && {
        sticky: new MissedStickyEvents({ ...shared, stickyEvents: stores.stickyEvents }),
      }),
    }),
    receipts: new StoredReceiptBacklog({ ...shared, stream: streams.receipts, localPattern }),
  })
  const events: EventFeed = new EventFeed({
    ...shared,
    onJoin: (join) => {
      onJoin()
      passing.onJoin(join)
      sticky?.onJoin(join)
    },
    relayed: new RelayedEventsStore(),
    eventStream: streams.events,
    roomServers,
    sender,
  })
  const audience: AudienceLookup = new AudienceLookup({ ...shared, roomServers, events })
  const { stickyEvents } = stores
  const sticky: StickyIntroductions | undefined = parts.sendsSticky
    ? new StickyIntroductions({ ...shared, stickyEvents, sender, audience })
    : undefined
  const passing: PassingFeeds = new PassingFeeds({ ...shared, streams, audience, sender })
  return {
    sender,
    audience,
    events,
    passing,
    sticky,
    deviceLists: new DeviceListFeed({ ...shared, stream: streams.deviceLists, audience, sender }),
  }
}

/** Names who takes what other servers tell besides events. */
function takeEdus(
  parts: FederationOutboundParts,
  {
    remotePresence,
    deviceUpdates,
  }: { readonly remotePresence: RemotePresence; readonly deviceUpdates: EarlyDeviceUpdates },
): void {
  const { edus, remoteDevices } = parts
  const { deviceLists } = remoteDevices
  const roomEdus = new RemoteRoomEdus(parts)
  const toDevice = new RemoteToDevice(parts)
  edus.on('m.typing', (origin, content) => roomEdus.onTyping(origin, content))
  edus.on('m.receipt', (origin, content) => roomEdus.onReceipt(origin, content))
  edus.on('m.presence', (origin, content) => remotePresence.onPresence(origin, content))
  edus.on('m.direct_to_device', (origin, content) => toDevice.onDirectToDevice(origin, content))
  edus.on('m.device_list_update', (origin, content) => deviceUpdates.onDeviceListUpdate(origin, content))
  edus.on('m.signing_key_update', (origin, content) => deviceLists.onSigningKeyUpdate(origin, content))
  // As servers called it before it was in the specification.
  edus.on('org.matrix.signing_key_update', (origin, content) =>
    deviceLists.onSigningKeyUpdate(origin, content),
  )
}
