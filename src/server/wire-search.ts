import type { HomeserverConfig } from '../config/homeserver-config.js'
import { EventSearch } from '../services/rooms/event-search.js'
import type { RoomStateViews } from '../services/rooms/room-state-views.js'
import { SearchContexts } from '../services/rooms/search-contexts.js'
import { SearchIndex } from '../services/rooms/search-index.js'
import { SearchedRooms } from '../services/rooms/searched-rooms.js'
import type { Services } from '../services/services.js'
import type { LocalBus } from '../services/streams/local-bus.js'
import type { Database } from '../storage/database.js'
import { EventSearchStore } from '../storage/stores/event-search.js'
import type { Clock } from '../util/clock.js'
import type { BackgroundWork } from './lifecycle.js'
import type { EventStores } from './wire-events.js'
import type { EventReading } from './wire-reading.js'
import type { Streams } from './wire-storage.js'

/** What finding messages and people needs of the rest of the server. */
export interface SearchParts {
  readonly db: Database
  readonly clock: Clock
  readonly bus: LocalBus
  readonly streams: Streams
  readonly reading: EventReading
  readonly roomStateViews: RoomStateViews
  readonly onError: (error: unknown) => void
}

export type SearchServices = Pick<Services, 'eventSearch'>

export function createSearchStores() {
  return { eventSearch: new EventSearchStore() }
}

/** Constructs what finds messages and people, and what keeps the indexes up with what happens. */
export function createSearchServices(
  parts: SearchParts,
  stores: ReturnType<typeof createSearchStores> & EventStores,
  config: HomeserverConfig,
): { services: SearchServices; background: readonly BackgroundWork[] } {
  const { streams, bus } = parts
  const shared = { ...stores, ...parts, ...parts.reading }
  const index = config.search.enabled
    ? new SearchIndex({ ...shared, eventStream: streams.events, backfillStream: streams.backfill })
    : undefined
  if (index) bus.subscribe(index)
  const eventSearch = new EventSearch({
    ...shared,
    index,
    searchedRooms: new SearchedRooms(shared),
    contexts: new SearchContexts(shared),
    stateViews: parts.roomStateViews,
  })
  return { services: { eventSearch }, background: index ? [index] : [] }
}
