import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { SpamChecks } from '../services/accounts/spam-checks.js'
import { DirectoryUsers } from '../services/rooms/directory-users.js'
import { EventSearch } from '../services/rooms/event-search.js'
import type { RoomStateViews } from '../services/rooms/room-state-views.js'
import { SearchContexts } from '../services/rooms/search-contexts.js'
import { SearchIndex } from '../services/rooms/search-index.js'
import { SearchedRooms } from '../services/rooms/searched-rooms.js'
import { UserDirectory } from '../services/rooms/user-directory.js'
import type { Services } from '../services/services.js'
import type { LocalBus } from '../services/streams/local-bus.js'
import type { Database } from '../storage/database.js'
import { EventSearchStore } from '../storage/stores/event-search.js'
import type { ProfilesStore } from '../storage/stores/profiles.js'
import { UserDirectoryStore } from '../storage/stores/user-directory.js'
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
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: SpamChecks | undefined
  readonly onError: (error: unknown) => void
}

export type SearchServices = Pick<Services, 'eventSearch' | 'userDirectory'>

export function createSearchStores() {
  return { eventSearch: new EventSearchStore(), userDirectory: new UserDirectoryStore() }
}

/** Constructs what finds messages and people, and what keeps the indexes up with what happens. */
export function createSearchServices(
  parts: SearchParts,
  stores: ReturnType<typeof createSearchStores> & EventStores & { readonly profiles: ProfilesStore },
  config: HomeserverConfig,
): { services: SearchServices; background: readonly BackgroundWork[] } {
  const { streams, bus } = parts
  const { serverName } = config.server
  const shared = { ...parts, ...parts.reading, ...stores, serverName, eventStream: streams.events }
  const index = config.search.enabled
    ? new SearchIndex({ ...shared, backfillStream: streams.backfill })
    : undefined
  const eventSearch = new EventSearch({
    ...shared,
    index,
    searchedRooms: new SearchedRooms(shared),
    contexts: new SearchContexts({ ...shared, timeline: parts.reading.timeline }),
    stateViews: parts.roomStateViews,
  })
  const { userDirectory: options } = config.rooms
  const entries = options.enabled ? new DirectoryUsers(shared) : undefined
  const userDirectory = new UserDirectory({ ...shared, entries, options })
  const followers = [index, entries].filter((follower) => follower !== undefined)
  for (const follower of followers) bus.subscribe(follower)
  return { services: { eventSearch, userDirectory }, background: followers }
}
