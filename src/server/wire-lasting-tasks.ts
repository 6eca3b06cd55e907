import type { ServerName } from '../protocol/ids.js'
import type { PartialRooms } from '../services/events/partial-rooms.js'
import type { RoomState } from '../services/events/room-state.js'
import { HistoryPurges } from '../services/rooms/history-purges.js'
import { LastingTasks } from '../services/tasks/lasting-tasks.js'
import type { Services } from '../services/services.js'
import type { Database } from '../storage/database.js'
import type { EventSearchStore } from '../storage/stores/event-search.js'
import { HistoryPurgeStore } from '../storage/stores/history-purge.js'
import { LastingTasksStore } from '../storage/stores/lasting-tasks.js'
import type { Clock } from '../util/clock.js'
import type { BackgroundWork } from './lifecycle.js'
import type { EventStores } from './wire-events.js'

/** What long work needs of the rest of the server. */
export interface LastingTasksParts {
  readonly db: Database
  readonly clock: Clock
  readonly serverName: ServerName
  readonly roomState: RoomState
  readonly partialRooms: PartialRooms
  readonly onError: (error: unknown) => void
}

/** Constructs what administrators ask for and takes longer than a request. */
export function createLastingTasks(
  parts: LastingTasksParts,
  stores: EventStores & { readonly eventSearch: EventSearchStore },
): {
  readonly services: Pick<Services, 'historyPurges' | 'lastingTasks'>
  readonly background: BackgroundWork
} {
  const tasks = new LastingTasks({ ...parts, store: new LastingTasksStore() })
  const historyPurges = new HistoryPurges({
    ...parts,
    tasks,
    events: stores.events,
    store: new HistoryPurgeStore(stores),
  })
  return {
    services: { historyPurges, lastingTasks: tasks },
    background: { start: () => tasks.resume(), stop: () => tasks.stop(), tasks: [tasks.upkeep] },
  }
}
