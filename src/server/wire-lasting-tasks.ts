import type { ServerName } from '../protocol/ids.js'
import type { RoomBlocks } from '../services/rooms/room-blocks.js'
import { RoomShutdowns } from '../services/journeys/room-shutdowns.js'
import { RoomAdministration } from '../services/administration/room-administration.js'
import { UserRedactions } from '../services/administration/user-redactions.js'
import { HistoryPurges } from '../services/rooms/history-purges.js'
import type { RoomDepartures } from '../services/rooms/room-departures.js'
import type { LastingTasks } from '../services/tasks/lasting-tasks.js'
import type { Services } from '../services/services.js'
import type { Database } from '../storage/database.js'
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
  readonly onError: (error: unknown) => void
}

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
      roomShutdowns: new RoomShutdowns({
        ...shared,
        rooms: stores.rooms,
        blocks: roomBlocks,
        sender: events.eventSender,
        creation,
        membership,
        removal: events.roomRemoval,
        departures: parts.rooms.departures,
        completing: parts.membership.completing,
      }),
    },
    background: { start: () => tasks.resume(), stop: () => tasks.stop(), tasks: [tasks.upkeep] },
  }
}
