import type { RoomId, UserId } from '../protocol/ids.js'
import { InvitePermissions } from '../services/accounts/invite-permissions.js'
import type { Filters } from '../services/accounts/filters.js'
import type { PushRules } from '../services/accounts/push-rules.js'
import type { E2eKeys } from '../services/devices/e2e-keys.js'
import type { ToDevice } from '../services/devices/to-device.js'
import type { Presence } from '../services/ephemeral/presence.js'
import type { Receipts } from '../services/ephemeral/receipts.js'
import type { Typing } from '../services/ephemeral/typing.js'
import type { ClientEvents } from '../services/events/client-events.js'
import type { EventVisibility } from '../services/events/event-visibility.js'
import type { PrejoinState } from '../services/events/prejoin-state.js'
import type { StickyEvents } from '../services/events/sticky-events.js'
import type { UnreadCounts } from '../services/events/unread-counts.js'
import type { Services } from '../services/services.js'
import type { LocalBus } from '../services/streams/local-bus.js'
import { Notifier } from '../services/streams/notifier.js'
import type { PartialRooms } from '../services/events/partial-rooms.js'
import { StreamPositions } from '../services/streams/stream-positions.js'
import { DeviceListChanges } from '../services/sync/device-list-changes.js'
import { DeviceListWakeups } from '../services/sync/device-list-wakeups.js'
import type { EventTail } from '../services/events/event-tail.js'
import { HiddenInviters } from '../services/sync/hidden-inviters.js'
import { IgnoredUsers } from '../services/sync/ignored-users.js'
import { LazyMembers } from '../services/sync/lazy-members.js'
import { MemberMovements } from '../services/sync/member-movements.js'
import { RoomContents } from '../services/sync/room-contents.js'
import { RoomStateLoader } from '../services/sync/room-state-loader.js'
import { RoomSummaries } from '../services/sync/room-summaries.js'
import { AccountDataSection } from '../services/sync/sections/account-data.js'
import { DeviceListsSection } from '../services/sync/sections/device-lists.js'
import { EphemeralSection } from '../services/sync/sections/ephemeral.js'
import { InvitesSection } from '../services/sync/sections/invites.js'
import { JoinedRoomsSection } from '../services/sync/sections/joined-rooms.js'
import { KeyCountsSection } from '../services/sync/sections/key-counts.js'
import { LeftRoomsSection } from '../services/sync/sections/left-rooms.js'
import { PresenceSection } from '../services/sync/sections/presence.js'
import { StickyEventsSection } from '../services/sync/sections/sticky-events.js'
import { ToDeviceSection } from '../services/sync/sections/to-device.js'
import { Sync } from '../services/sync/sync.js'
import { SyncBuilder } from '../services/sync/sync-builder.js'
import { SyncFilters } from '../services/sync/sync-filters.js'
import { SyncFrames } from '../services/sync/sync-frame.js'
import { TimelineLoader, type TimelineOptions } from '../services/sync/timeline-loader.js'
import { UserRoomsCache } from '../services/sync/user-rooms.js'
import type { AccountDataStore } from '../storage/stores/account-data.js'
import type { CrossSigningStore } from '../storage/stores/cross-signing.js'
import { LazyStateStore } from '../storage/stores/lazy-state.js'
import { MembershipChangesStore } from '../storage/stores/membership-changes.js'
import { RoomSummariesStore } from '../storage/stores/room-summaries.js'
import { SharedRoomsStore } from '../storage/stores/shared-rooms.js'
import { StateDeltasStore } from '../storage/stores/state-deltas.js'
import { TimelinesStore } from '../storage/stores/timelines.js'
import type { Clock } from '../util/clock.js'
import type { EventStores } from './wire-events.js'
import type { Storage, Streams } from './wire-storage.js'

/** What syncs need of the rest of the server. */
export interface SyncParts {
  readonly storage: Pick<Storage, 'db' | 'caches' | 'streams'>
  readonly clock: Clock
  /** Where writers report new positions. */
  readonly bus: LocalBus
  readonly eventTail: EventTail
  readonly clientEvents: ClientEvents
  readonly visibility: EventVisibility
  readonly unreadCounts: Pick<UnreadCounts, 'forRooms'>
  readonly receipts: Receipts
  readonly typing: Typing
  readonly presence: Presence
  readonly toDevice: ToDevice
  readonly e2eKeys: E2eKeys
  readonly pushRules: PushRules
  readonly filters: Filters
  readonly prejoin: PrejoinState
  /** Rooms whose members are not all known; without it, there are none. */
  readonly partialRooms?: PartialRooms
  /** Undefined: no events are sticky. */
  readonly stickyEvents?: StickyEvents | undefined
}

export type SyncStores = Pick<
  EventStores,
  'rooms' | 'events' | 'snapshots' | 'stateKeys' | 'currentState' | 'members'
> & { readonly accountData: AccountDataStore; readonly crossSigning: CrossSigningStore }

export type SyncServices = Pick<Services, 'deviceListChanges' | 'sync' | 'syncFilters'> & {
  /** To be closed when the server stops. */
  readonly notifier: Notifier
  /** For others who tell users of events. */
  readonly ignored: IgnoredUsers
  /** What sliding sync reads with too. */
  readonly reads: SyncReads
}

export type SyncReads = Omit<ReturnType<typeof createReads>, 'timelines'> & {
  readonly tail: EventTail
  readonly userRooms: UserRoomsCache
  readonly timelines: TimelineLoader
  readonly invites: InvitesSection
  readonly hiddenInviters: HiddenInviters
  readonly excludedRooms: ReadonlySet<RoomId>
}

/** Constructs what tells clients of news. */
export function createSyncServices(
  parts: SyncParts,
  stores: SyncStores,
  options: TimelineOptions & {
    readonly noticesFrom: UserId | undefined
    /** `exclude_rooms_from_sync`. */
    readonly excludedRooms: ReadonlySet<RoomId>
  },
): SyncServices {
  const { clock, presence } = parts
  const { excludedRooms } = options
  const { db, caches, streams } = parts.storage
  const notifier = new Notifier(clock, positionsOf(streams, parts.typing))
  const ignored = new IgnoredUsers(db, caches, stores.accountData)
  const permissions = new InvitePermissions(db, stores.accountData, options.noticesFrom)
  const hiddenInviters = new HiddenInviters(db, caches, { ignored, permissions })
  // Before those who wait are woken.
  parts.bus.subscribe(ignored)
  parts.bus.subscribe(hiddenInviters)
  parts.bus.subscribe(notifier)
  const reads = createReads(stores)
  const tail = parts.eventTail
  const userRooms = new UserRoomsCache(db, caches, { ...reads, tail, excludedRooms })
  parts.bus.subscribe(new DeviceListWakeups(notifier, userRooms))
  const timelines = new TimelineLoader(db, { ...reads, visibility: parts.visibility }, options)
  const invites = new InvitesSection(db, { ...parts, events: stores.events, hiddenInviters })
  const contents = new RoomContents({
    db,
    events: stores.events,
    timelines,
    states: new RoomStateLoader(db, reads),
    clientEvents: parts.clientEvents,
  })
  const frames = new SyncFrames(db, {
    ...reads,
    userRooms,
    tail,
    ignored,
    excludedRooms,
    lazyMembers: new LazyMembers(),
    partialRooms: parts.partialRooms,
  })
  const movements = new MemberMovements(db, { ...reads, partialRooms: parts.partialRooms })
  const deviceLists = new DeviceListsSection(db, reads)
  const builder = new SyncBuilder(frames, movements, {
    accountData: new AccountDataSection(db, { ...reads, pushRules: parts.pushRules }),
    deviceLists,
    ephemeral: new EphemeralSection(db, parts),
    invites,
    joinedRooms: new JoinedRoomsSection(db, {
      contents,
      summaries: new RoomSummaries(reads),
      unread: parts.unreadCounts,
      sticky: parts.stickyEvents && new StickyEventsSection({ ...parts, sticky: parts.stickyEvents }),
    }),
    keyCounts: new KeyCountsSection(db, parts.e2eKeys),
    leftRooms: new LeftRoomsSection(db, { ...reads, contents }),
    presence: new PresenceSection(db, presence),
    toDevice: new ToDeviceSection(db, parts.toDevice),
  })
  return {
    notifier,
    ignored,
    reads: { ...reads, tail, userRooms, timelines, invites, hiddenInviters, excludedRooms },
    deviceListChanges: new DeviceListChanges({ frames, movements, deviceLists, notifier }),
    sync: new Sync({ builder, userRooms, notifier, presence, clock }),
    syncFilters: new SyncFilters(parts.filters),
  }
}

/** The stores, with those that only syncs read. */
function createReads(stores: SyncStores) {
  return {
    ...stores,
    changes: new MembershipChangesStore(),
    deltas: new StateDeltasStore(),
    lazyState: new LazyStateStore(),
    shared: new SharedRoomsStore(),
    summaries: new RoomSummariesStore(),
    timelines: new TimelinesStore(),
  }
}

function positionsOf(streams: Streams, typing: Typing): StreamPositions {
  return new StreamPositions({
    events: streams.events,
    receipts: streams.receipts,
    account_data: streams.accountData,
    presence: streams.presence,
    typing,
    to_device: streams.toDevice,
    device_lists: streams.deviceLists,
    push_rules: streams.pushRules,
    thread_subscriptions: streams.threadSubscriptions,
  })
}
