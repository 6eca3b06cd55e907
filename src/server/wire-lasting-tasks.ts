import type { ServerName } from '../protocol/ids.js'
import type { RoomBlocks } from '../services/rooms/room-blocks.js'
import { ForgottenRooms } from '../services/journeys/forgotten-rooms.js'
import { RoomShutdowns } from '../services/journeys/room-shutdowns.js'
import { RoomAdministration } from '../services/administration/room-administration.js'
import { UserRedactions } from '../services/administration/user-redactions.js'
import { HistoryPurges } from '../services/rooms/history-purges.js'
import type { RoomDepartures } from '../services/rooms/room-departures.js'
import type { LastingTasks } from '../services/tasks/lasting-tasks.js'
import type { PeriodicTask } from '../services/tasks/periodic-tasks.js'
import type { Services } from '../services/services.js'
import type { Database } from '../storage/database.js'
import { ForgottenRoomsStore } from '../storage/stores/forgotten-rooms.js'
import { HistoryPurgeStore } from '../storage/stores/history-purge.js'
import { SentEventsStore } from '../storage/stores/sent-events.js'
import type { Clock } from '../util/clock.js'
import type { BackgroundWork } from './lifecycle.js'
import type { Stores } from './wire-base.js'
import type { EventServices } from './wire-events.js'
import type { FederationMembership } from './wire-federation-membership.js'

/** What long work needs of the rest of the server. */
export interface LastingTasksParts {
  readonly db: Database
  readonly clock: Clock
  readonly serverName: ServerName
  readonly lastingTasks: LastingTasks
  readonly roomBlocks: RoomBlocks
  readonly events: Omit<EventServices, 'eventPersister'>
  readonly rooms: {
    readonly services: Pick<Services, 'roomCreation' | 'roomMembership'>
    readonly departures: RoomDepartures
  }
  readonly membership: Pick<FederationMembership, 'completing'>
  /** `forgotten_room_retention_period`; undefined: rooms stay that nobody remembers. */
  readonly forgottenRoomsMs: number | undefined
  readonly onError: (error: unknown) => void
}

const MINUTE_MS = 60_000
/** It takes two runs to see that a room has been forgotten for long enough. */
const FORGOTTEN_ROOMS_INTERVAL_MS = { least: 5 * MINUTE_MS, most: 60 * MINUTE_MS }

/** Constructs what administrators ask for and takes longer than a request. */
export function createLastingTasks(
  parts: LastingTasksParts,
  stores: Stores,
): {
  readonly services: Pick<
    Services,
    | 'historyPurges'
    | 'lastingTasks'
    | 'roomAdministration'
    | 'roomBlocks'
    | 'roomShutdowns'
    | 'userRedactions'
  >
  readonly background: BackgroundWork
} {
  const { lastingTasks: tasks, roomBlocks, events } = parts
  const { roomCreation: creation, roomMembership: membership } = parts.rooms.services
  const shared = {
    ...stores,
    ...parts,
    tasks,
    roomState: events.roomState,
    partialRooms: events.partialRooms,
  }
  const shutdowns = new RoomShutdowns({
    ...shared,
    rooms: stores.rooms,
    blocks: roomBlocks,
    sender: events.eventSender,
    creation,
    membership,
    removal: events.roomRemoval,
    departures: parts.rooms.departures,
    completing: parts.membership.completing,
  })
  return {
    services: {
      lastingTasks: tasks,
      roomBlocks,
      roomAdministration: new RoomAdministration({
        ...shared,
        membership,
        sender: events.eventSender,
      }),
      userRedactions: new UserRedactions({
        ...shared,
        rooms: stores.rooms,
        sentEvents: new SentEventsStore(),
        sender: events.eventSender,
      }),
      historyPurges: new HistoryPurges({
        ...shared,
        events: stores.events,
        store: new HistoryPurgeStore(stores),
      }),
      roomShutdowns: shutdowns,
    },
    background: {
      start: () => tasks.resume(),
      stop: () => tasks.stop(),
      tasks: [tasks.upkeep, ...removalOfForgotten(parts, shutdowns)],
    },
  }
}

/** None where rooms stay that nobody remembers. */
function removalOfForgotten(parts: LastingTasksParts, shutdowns: RoomShutdowns): PeriodicTask[] {
  const { forgottenRoomsMs: retentionMs } = parts
  if (retentionMs === undefined) return []
  const forgotten = new ForgottenRooms({ ...parts, shutdowns, store: new ForgottenRoomsStore(), retentionMs })
  const { least, most } = FORGOTTEN_ROOMS_INTERVAL_MS
  return [
    {
      name: 'remove_forgotten_rooms',
      intervalMs: Math.min(Math.max(retentionMs / 10, least), most),
      run: (signal) => forgotten.run(signal),
    },
  ]
}
