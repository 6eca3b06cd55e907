import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { RateLimits } from '../services/accounts/ratelimits.js'
import type { RoomState } from '../services/events/room-state.js'
import { DelayedEvents } from '../services/rooms/delayed-events.js'
import type { RoomSending } from '../services/rooms/room-sending.js'
import { DelayedEventsStore } from '../storage/stores/delayed-events.js'
import type { UsersStore } from '../storage/stores/users.js'
import type { Clock } from '../util/clock.js'
import type { BackgroundWork } from './lifecycle.js'
import type { Storage } from './wire-storage.js'

/** What sending later needs of the rest of the server. */
export interface DelayedEventsParts {
  readonly config: HomeserverConfig
  readonly storage: Pick<Storage, 'db' | 'streams'>
  readonly clock: Clock
  readonly rateLimits: RateLimits
  readonly roomState: RoomState
  readonly roomSending: RoomSending
  readonly onError: (error: unknown) => void
}

/** Constructs what sends events later. */
export function createDelayedEvents(
  parts: DelayedEventsParts,
  stores: { readonly users: UsersStore },
): { readonly delayedEvents: DelayedEvents; readonly background: BackgroundWork } {
  const { maxEventDelayMs: maxDelayMs, maxDelayedEvents: maxPerUser } = parts.config.experimental
  const { db, streams } = parts.storage
  const delayedEvents = new DelayedEvents(
    {
      ...parts,
      ...stores,
      db,
      store: new DelayedEventsStore(),
      sending: parts.roomSending,
      eventsPosition: () => streams.events.position(),
    },
    { maxDelayMs, maxPerUser },
  )
  return {
    delayedEvents,
    background: { start: () => delayedEvents.start(), stop: () => delayedEvents.stop() },
  }
}
