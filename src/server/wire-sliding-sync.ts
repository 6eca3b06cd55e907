import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { PushRules } from '../services/accounts/push-rules.js'
import type { E2eKeys } from '../services/devices/e2e-keys.js'
import type { ToDevice } from '../services/devices/to-device.js'
import type { Presence } from '../services/ephemeral/presence.js'
import type { Receipts } from '../services/ephemeral/receipts.js'
import type { Typing } from '../services/ephemeral/typing.js'
import type { PartialRooms } from '../services/events/partial-rooms.js'
import type { StickyEvents } from '../services/events/sticky-events.js'
import type { UnreadCounts } from '../services/events/unread-counts.js'
import { ThreadSubscriptions } from '../services/rooms/thread-subscriptions.js'
import type { Services } from '../services/services.js'
import type { LocalBus } from '../services/streams/local-bus.js'
import type { Notifier } from '../services/streams/notifier.js'
import type { DeviceListChanges } from '../services/sync/device-list-changes.js'
import type { IgnoredUsers } from '../services/sync/ignored-users.js'
import { Connections } from '../services/sync/sliding-sync/connections.js'
import { AccountDataExtension } from '../services/sync/sliding-sync/extensions/account-data.js'
import { E2eeExtension } from '../services/sync/sliding-sync/extensions/e2ee.js'
import type { Extension } from '../services/sync/sliding-sync/extensions/extension.js'
import { ReceiptsExtension } from '../services/sync/sliding-sync/extensions/receipts.js'
import { SlidingExtensions } from '../services/sync/sliding-sync/extensions/sliding-extensions.js'
import { StickyEventsExtension } from '../services/sync/sliding-sync/extensions/sticky-events.js'
import { ThreadSubscriptionsExtension } from '../services/sync/sliding-sync/extensions/thread-subscriptions.js'
import { ToDeviceExtension } from '../services/sync/sliding-sync/extensions/to-device.js'
import { TypingExtension } from '../services/sync/sliding-sync/extensions/typing.js'
import { InvitedRooms } from '../services/sync/sliding-sync/invited-rooms.js'
import { RoomActivity } from '../services/sync/sliding-sync/room-activity.js'
import { RoomDetails } from '../services/sync/sliding-sync/room-details.js'
import { RoomFacts } from '../services/sync/sliding-sync/room-facts.js'
import { FoldedRoomNames } from '../services/sync/sliding-sync/folded-room-names.js'
import { RoomLists } from '../services/sync/sliding-sync/room-lists.js'
import { RoomPlanner } from '../services/sync/sliding-sync/room-plan.js'
import { RoomResults } from '../services/sync/sliding-sync/room-results.js'
import { SlidingBuilder } from '../services/sync/sliding-sync/sliding-builder.js'
import { SlidingSync } from '../services/sync/sliding-sync/sliding-sync.js'
import { StateReader } from '../services/sync/sliding-sync/state-reader.js'
import { VisibleRooms } from '../services/sync/sliding-sync/visible-rooms.js'
import { RoomStaysStore } from '../storage/stores/room-stays.js'
import { SlidingSyncStore } from '../storage/stores/sliding-sync.js'
import { SlidingSyncRoomsStore } from '../storage/stores/sliding-sync-rooms.js'
import { ThreadSubscriptionsStore } from '../storage/stores/thread-subscriptions.js'
import { TimelinesStore } from '../storage/stores/timelines.js'
import type { Clock } from '../util/clock.js'
import { randomFraction } from '../util/random.js'
import type { BackgroundWork } from './lifecycle.js'
import type { EventReading } from './wire-reading.js'
import type { Storage } from './wire-storage.js'
import type { SyncReads } from './wire-sync.js'

/** What sliding sync needs of the rest of the server. */
export interface SlidingSyncParts {
  readonly config: HomeserverConfig
  readonly storage: Pick<Storage, 'db' | 'caches' | 'streams'>
  readonly clock: Clock
  readonly bus: LocalBus
  readonly connections: Connections
  /** What both ways of syncing read with. */
  readonly reads: SyncReads
  readonly reading: EventReading
  readonly notifier: Notifier
  readonly ignored: IgnoredUsers
  readonly partialRooms: Pick<PartialRooms, 'completedBetween'>
  readonly deviceListChanges: DeviceListChanges
  readonly unreadCounts: Pick<UnreadCounts, 'forRooms'>
  readonly pushRules: PushRules
  readonly receipts: Receipts
  readonly typing: Typing
  readonly presence: Presence
  readonly toDevice: ToDevice
  readonly e2eKeys: E2eKeys
  /** Undefined: no events are sticky. */
  readonly stickyEvents?: StickyEvents | undefined
}

export type SlidingSyncServices = Pick<Services, 'slidingSync' | 'threadSubscriptions'>

const HOUR_MS = 3_600_000

/** Connections go with their devices: made before those who delete devices. */
export function createConnections({ db, caches }: Pick<Storage, 'db' | 'caches'>, clock: Clock): Connections {
  return new Connections({ db, caches, clock, store: new SlidingSyncStore(), random: randomFraction })
}

/** Constructs sliding sync, and the subscriptions to threads that only it tells of. */
export function createSlidingSyncServices(parts: SlidingSyncParts): {
  readonly services: SlidingSyncServices
  readonly background: BackgroundWork
} {
  const { connections, notifier, presence, reads, clock, storage } = parts
  const { experimental } = parts.config
  const { db, streams } = storage
  const threadSubscriptions = new ThreadSubscriptions(
    {
      db,
      store: new ThreadSubscriptionsStore(),
      readable: parts.reading.readable,
      streamIds: streams.threadSubscriptions,
      eventsPosition: () => streams.events.position(),
      positions: parts.bus,
    },
    { isEnabled: experimental.threadSubscriptions },
  )
  const builder = createBuilder(parts, threadSubscriptions)
  const slidingSync = new SlidingSync(
    {
      builder,
      connections,
      notifier,
      presence,
      clock,
      userRooms: reads.userRooms,
      threads: threadSubscriptions,
    },
    { isEnabled: experimental.slidingSync },
  )
  const expiry = {
    name: 'expire_sliding_sync_connections',
    intervalMs: HOUR_MS,
    run: () => connections.expire(),
  }
  return { services: { slidingSync, threadSubscriptions }, background: { tasks: [expiry] } }
}

function createBuilder(parts: SlidingSyncParts, threadSubscriptions: ThreadSubscriptions): SlidingBuilder {
  const { reads, reading, ignored } = parts
  const { db } = parts.storage
  const store = new SlidingSyncRoomsStore()
  const stays = new RoomStaysStore()
  const activity = new RoomActivity({ db, store, tail: reads.tail })
  const facts = new RoomFacts(db, { ...reads, points: reading.points, store, activity })
  const details = new RoomDetails(db, {
    ...reads,
    states: new StateReader(db, { ...reads, store }),
    stays,
    partialRooms: parts.partialRooms,
  })
  return new SlidingBuilder(db, {
    accountData: reads.accountData,
    ignored,
    visibleRooms: new VisibleRooms(db, { ...reads, store, activity }),
    lists: new RoomLists(db, {
      ...reads,
      store,
      facts,
      names: new FoldedRoomNames(db, { ...reads, points: reading.points, store, stays }),
    }),
    planner: new RoomPlanner(db, reads.changes, parts.receipts),
    results: new RoomResults(db, {
      details,
      store,
      invited: new InvitedRooms(reads.invites),
      clientEvents: reading.clientEvents,
      summaries: reads.summaries,
      unread: parts.unreadCounts,
    }),
    extensions: createExtensions(parts, store, threadSubscriptions),
  })
}

function createExtensions(
  parts: SlidingSyncParts,
  store: SlidingSyncRoomsStore,
  threadSubscriptions: ThreadSubscriptions,
): SlidingExtensions {
  const { db } = parts.storage
  const { experimental } = parts.config
  const accountData = new AccountDataExtension(db, { ...parts.reads, store, pushRules: parts.pushRules })
  const receipts = new ReceiptsExtension(db, {
    receipts: parts.receipts,
    events: parts.reads.events,
    timelines: new TimelinesStore(),
  })
  const byName = new Map<string, Extension>([
    ['account_data', accountData],
    ['e2ee', new E2eeExtension(db, parts)],
    ['receipts', receipts],
    ['to_device', new ToDeviceExtension(db, parts.toDevice)],
    ['typing', new TypingExtension(parts.typing)],
  ])
  if (parts.stickyEvents !== undefined) {
    const { clientEvents } = parts.reading
    const extension = new StickyEventsExtension({ sticky: parts.stickyEvents, clientEvents })
    byName.set('org.matrix.msc4354.sticky_events', extension)
  }
  if (experimental.threadSubscriptions) {
    const extension = new ThreadSubscriptionsExtension(threadSubscriptions)
    byName.set('io.element.msc4308.thread_subscriptions', extension)
  }
  return new SlidingExtensions({ byName, accountData, receipts })
}
