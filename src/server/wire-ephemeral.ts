import type { RoomId, UserId } from '../protocol/ids.js'
import type { AccountData } from '../services/accounts/account-data.js'
import type { PushRules } from '../services/accounts/push-rules.js'
import { DeviceLists } from '../services/devices/device-lists.js'
import { ToDevice, type ToDeviceDependencies } from '../services/devices/to-device.js'
import { Presence, type PresenceOptions } from '../services/ephemeral/presence.js'
import { ReadMarkers } from '../services/ephemeral/read-markers.js'
import { Receipts } from '../services/ephemeral/receipts.js'
import { Typing } from '../services/ephemeral/typing.js'
import type { RoomState } from '../services/events/room-state.js'
import { MemberNames } from '../services/events/member-names.js'
import { PushAudience } from '../services/events/push-audience.js'
import { UnreadCounts } from '../services/events/unread-counts.js'
import type { Services } from '../services/services.js'
import type { PositionSink } from '../services/streams/notifier.js'
import type { CacheRegistry } from '../storage/cache-registry.js'
import type { Database } from '../storage/database.js'
import type { AccountDataStore } from '../storage/stores/account-data.js'
import { DeviceInboxStore } from '../storage/stores/device-inbox.js'
import type { DevicesStore } from '../storage/stores/devices.js'
import { EventPushActionsStore } from '../storage/stores/event-push-actions.js'
import type { EventsStore } from '../storage/stores/events.js'
import { PresenceStore } from '../storage/stores/presence.js'
import { ReceiptsStore } from '../storage/stores/receipts.js'
import type { RoomMembersStore } from '../storage/stores/room-members.js'
import type { RoomsStore } from '../storage/stores/rooms.js'
import { ThreadSubscriptionsStore } from '../storage/stores/thread-subscriptions.js'
import type { StreamIdGenerator } from '../storage/streams/stream-id-generator.js'
import type { Clock } from '../util/clock.js'

/** What `presence` of the configuration says. */
export interface EphemeralOptions {
  readonly presence: PresenceOptions
}

/** What this part needs of the rest of the server. */
export interface EphemeralParts {
  readonly db: Database
  readonly caches: CacheRegistry
  readonly clock: Clock
  readonly positions: PositionSink
  readonly receiptStream: StreamIdGenerator
  readonly presenceStream: StreamIdGenerator
  readonly accountDataStore: AccountDataStore
  readonly accountData: AccountData
  readonly pushRules: Pick<PushRules, 'evaluatorsOfChanged' | 'defaultEvaluator'>
  readonly roomState: RoomState
  /** Users of other servers; without it, there are none. */
  readonly isRemote?: (userId: UserId) => boolean
  /** Whether a user is said to be of this server, and is not. */
  readonly isUnknown?: (userId: UserId) => Promise<boolean>
  /** Whether a user whose membership is not known may be in a room whose members are not all known. */
  readonly mayBeIn?: (roomId: RoomId, userId: UserId) => Promise<boolean>
  /** Told when somebody types, still types, or does not any more. */
  readonly onTyping?: (roomId: RoomId, userId: UserId, typing: boolean) => void
  /** For what fails with nobody waiting for it. */
  readonly onError: (error: unknown) => void
}

export type EphemeralStores = ReturnType<typeof createEphemeralStores>

/** Stores of other parts. */
export interface SharedStores {
  readonly devices: DevicesStore
  readonly events: EventsStore
  readonly members: RoomMembersStore
  readonly rooms: RoomsStore
}

export type EphemeralServices = Pick<
  Services,
  'deviceLists' | 'presence' | 'readMarkers' | 'receipts' | 'typing' | 'unreadCounts'
>

export function createEphemeralStores(
  caches: CacheRegistry,
  options: { readonly excludedFromPresence?: ReadonlySet<RoomId> } = {},
) {
  return {
    inbox: new DeviceInboxStore(caches),
    presence: new PresenceStore(options.excludedFromPresence),
    pushActions: new EventPushActionsStore(),
    receipts: new ReceiptsStore(caches),
  }
}

/** By itself, because devices delete their messages when they go: pass it to the accounts as a clean-up. */
export function createToDevice(
  parts: Omit<ToDeviceDependencies, 'inbox'>,
  stores: Pick<EphemeralStores, 'inbox'>,
): ToDevice {
  return new ToDevice({ ...parts, inbox: stores.inbox })
}

/**
 * Constructs the services of what passes by. `presence` is to be started and stopped, `typing` stopped, with the server;
 * both are in memory.
 */
export function createEphemeralServices(
  parts: EphemeralParts,
  stores: EphemeralStores & SharedStores,
  options: EphemeralOptions,
): EphemeralServices {
  const { db, clock, positions, roomState } = parts
  const { events } = stores
  const presence = new Presence({
    db,
    clock,
    positions,
    presence: stores.presence,
    streamIds: parts.presenceStream,
    onError: parts.onError,
    isRemote: parts.isRemote,
    isUnknown: parts.isUnknown,
    options: options.presence,
  })
  const shared = { db, clock, positions, roomState, events, activity: presence }
  const receipts = new Receipts({
    ...shared,
    mayBeIn: parts.mayBeIn,
    receipts: stores.receipts,
    streamIds: parts.receiptStream,
  })
  return {
    deviceLists: new DeviceLists(stores.devices),
    presence,
    receipts,
    readMarkers: new ReadMarkers({
      db,
      events,
      roomState,
      receipts,
      accountData: parts.accountData,
      accountDataStore: parts.accountDataStore,
    }),
    typing: new Typing({ ...shared, mayBeIn: parts.mayBeIn, onChange: parts.onTyping }),
    unreadCounts: new UnreadCounts({ ...stores, ...parts }),
  }
}

/** Who has push rules of their own, and who is called what: for the write path, and to be subscribed to the bus. */
export function createPushAudience(
  { db }: Pick<EphemeralParts, 'db'>,
  stores: Pick<EphemeralStores, 'pushActions'> &
    Pick<SharedStores, 'members'> & { readonly caches: CacheRegistry },
  pushRules: EphemeralParts['pushRules'],
): PushAudience {
  const { caches, pushActions, members } = stores
  const names = new MemberNames({ db, members, caches })
  const threads = new ThreadSubscriptionsStore()
  return new PushAudience({ db, pushRules, caches, pushActions, names, threads })
}

/** Tells typing of those who leave rooms: to be subscribed to the bus. */
export function followMemberships(
  typing: Pick<Typing, 'onMembershipChange'>,
  onError: (error: unknown) => void,
): PositionSink {
  return {
    onNewPosition: (stream, hints) => {
      if (stream === 'events') typing.onMembershipChange(hints).catch(onError)
    },
  }
}
