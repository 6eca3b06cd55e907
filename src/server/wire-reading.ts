import type { ErasedUsers } from '../services/events/erased-users.js'
import { ClientEvents } from '../services/events/client-events.js'
import { EventVisibility } from '../services/events/event-visibility.js'
import type { PartialRooms } from '../services/events/partial-rooms.js'
import { ReadableEvents } from '../services/events/readable-events.js'
import { EventAggregations } from '../services/events/relations.js'
import { RoomAccess } from '../services/events/room-access.js'
import type { RetentionPolicies } from '../services/events/retention-policies.js'
import type { RoomState } from '../services/events/room-state.js'
import { SenderMembers } from '../services/events/sender-members.js'
import { StatePoints } from '../services/events/state-points.js'
import { UnhinderedAccess, UnhinderedVisibility } from '../services/events/unhindered-reading.js'
import { VisibleTimeline } from '../services/events/visible-timeline.js'
import type { Backfill } from '../services/federation/backfill.js'
import type { RemoteTimestamps } from '../services/federation/remote-timestamps.js'
import { EventByTimestamp } from '../services/rooms/event-by-timestamp.js'
import { EventContext } from '../services/rooms/event-context.js'
import { Pagination } from '../services/rooms/pagination.js'
import { RelatedEvents } from '../services/rooms/related-events.js'
import { RoomInitialSync, type PassingBy } from '../services/rooms/room-initial-sync.js'
import { RoomMembers } from '../services/rooms/room-members.js'
import { RoomStateViews } from '../services/rooms/room-state-views.js'
import { SingleEvents } from '../services/rooms/single-events.js'
import { Threads } from '../services/rooms/threads.js'
import type { Services } from '../services/services.js'
import type { Database } from '../storage/database.js'
import type { AccountDataStore } from '../storage/stores/account-data.js'
import type { EventsStore } from '../storage/stores/events.js'
import type { PublicRoomsStore } from '../storage/stores/public-rooms.js'
import { RelationsStore } from '../storage/stores/relations.js'
import { RoomStaysStore } from '../storage/stores/room-stays.js'
import { RoomTimelineStore } from '../storage/stores/room-timeline.js'
import type { RoomRecord } from '../storage/stores/rooms.js'
import { StateHistoryStore } from '../storage/stores/state-history.js'
import type { Clock } from '../util/clock.js'
import type { EventStores } from './wire-events.js'

/** What reading needs of the rest of the server. */
export interface ReadingParts {
  readonly db: Database
  readonly clock: Clock
  /** `position()` of the events stream. */
  readonly eventsPosition: () => number
  readonly roomState: RoomState
  /** How long messages may be read; undefined: for ever. */
  readonly retention?: RetentionPolicies | undefined
  /** Whose messages are for those alone who were there; without it, nobody's. */
  readonly erased?: ErasedUsers
  /** Rooms whose members are not all known; without it, there are none. */
  readonly partialRooms?: PartialRooms
  /** Whether an application service has somebody in a room; without it, there are none. */
  readonly isServiceInRoom?: (appserviceId: string, room: RoomRecord) => Promise<boolean>
  /** Who is there and has read what; without it, nobody. */
  readonly passing?: PassingBy
  /** How the history is got that is not held. Without it, there is none. */
  readonly history?: { readonly backfill: Backfill; readonly remoteTimestamps: RemoteTimestamps }
}

export type ReadingStores = ReturnType<typeof createReadingStores>

/** Further stores that reading works on: those of the write path, and these of other parts. */
export type StoresOfOthers = Pick<
  EventStores,
  'rooms' | 'events' | 'stateKeys' | 'snapshots' | 'members' | 'currentState' | 'eventTxns'
> & {
  readonly accountData: AccountDataStore
  readonly publicRooms: PublicRoomsStore
}

export type ReadingServices = Pick<
  Services,
  | 'administratorReading'
  | 'eventByTimestamp'
  | 'eventContext'
  | 'pagination'
  | 'relatedEvents'
  | 'roomInitialSync'
  | 'roomMembers'
  | 'roomStateViews'
  | 'singleEvents'
  | 'threads'
> & {
  /** For sync and others that show events. */
  readonly reading: EventReading
}

/** What decides which events users see and how they look. */
export interface EventReading {
  readonly visibility: EventVisibility
  readonly access: RoomAccess
  readonly clientEvents: ClientEvents
  readonly aggregations: EventAggregations
  readonly senderMembers: SenderMembers
  readonly points: StatePoints
  readonly readable: ReadableEvents
  readonly timeline: VisibleTimeline
}

/** The stores that only reading uses; they have no state of their own. */
export function createReadingStores(events: EventsStore) {
  return {
    timeline: new RoomTimelineStore(events),
    relations: new RelationsStore(events),
    stays: new RoomStaysStore(),
    history: new StateHistoryStore(),
  }
}

/** Constructs the services that show what happened in rooms. */
export function createReadingServices(
  parts: ReadingParts,
  stores: ReadingStores,
  others: StoresOfOthers,
): ReadingServices {
  const { db, clock, roomState, eventsPosition } = parts
  const all = { ...others, ...stores }
  const points = new StatePoints(all)
  const { retention, erased } = parts
  const visibility = new EventVisibility(db, {
    events: others.events,
    points,
    stays: stores.stays,
    retention,
    erased,
  })
  const access = new RoomAccess(db, { ...all, eventsPosition })
  const aggregations = new EventAggregations(db, { ...all, visibility })
  const clientEvents = new ClientEvents(db, {
    events: others.events,
    txns: others.eventTxns,
    points,
    aggregations,
    clock,
  })
  const senderMembers = new SenderMembers(db, points)
  const readable = new ReadableEvents(db, { events: others.events, access, visibility })
  const timeline = new VisibleTimeline(db, { timeline: stores.timeline, visibility })
  const shared = {
    access,
    readable,
    timeline,
    roomState,
    clientEvents,
    aggregations,
    senderMembers,
    visibility,
    partialRooms: parts.partialRooms,
    backfill: parts.history?.backfill,
  }
  const stateViews = new RoomStateViews(shared)
  const remote = parts.history && { ...parts.history, timestamps: parts.history.remoteTimestamps }
  return {
    eventByTimestamp: new EventByTimestamp(db, {
      ...shared,
      timeline: stores.timeline,
      remote,
    }),
    administratorReading: createAdministratorReading(parts, all, shared),
    eventContext: new EventContext(shared),
    pagination: new Pagination(shared),
    relatedEvents: new RelatedEvents(db, { ...shared, relations: stores.relations }),
    roomInitialSync: new RoomInitialSync(db, {
      ...shared,
      stateViews,
      publicRooms: others.publicRooms,
      accountData: others.accountData,
      members: others.members,
      passing: parts.passing,
    }),
    roomMembers: new RoomMembers(db, { ...shared, ...all, isServiceInRoom: parts.isServiceInRoom }),
    roomStateViews: stateViews,
    singleEvents: new SingleEvents(shared),
    threads: new Threads(db, { ...shared, relations: stores.relations, events: others.events }),
    reading: { visibility, access, clientEvents, aggregations, senderMembers, points, readable, timeline },
  }
}

/** The same for administrators, who need not be in the rooms. */
function createAdministratorReading(
  { db, eventsPosition }: ReadingParts,
  stores: StoresOfOthers & ReadingStores,
  shared: ConstructorParameters<typeof EventContext>[0],
): Services['administratorReading'] {
  const visibility = new UnhinderedVisibility()
  const access = new UnhinderedAccess(db, { rooms: stores.rooms, eventsPosition })
  const parts = {
    ...shared,
    access,
    visibility,
    readable: new ReadableEvents(db, { events: stores.events, access, visibility }),
    timeline: new VisibleTimeline(db, { timeline: stores.timeline, visibility }),
  }
  return {
    pagination: new Pagination({ ...parts, senderMembers: new SenderMembers(db, new StatePoints(stores)) }),
    eventContext: new EventContext(parts),
    eventByTimestamp: new EventByTimestamp(db, { ...parts, timeline: stores.timeline }),
  }
}
