import type { Event } from './event.js'

/** https://spec.matrix.org/latest/client-server-api/#room-history-visibility */
export type HistoryVisibility = 'invited' | 'joined' | 'shared' | 'world_readable'

const VISIBILITIES: ReadonlySet<unknown> = new Set<HistoryVisibility>([
  'invited',
  'joined',
  'shared',
  'world_readable',
])

/** What an `m.room.history_visibility` event says; `shared` where there is none or it says something unknown. */
export function parseHistoryVisibility(event: Event | undefined): HistoryVisibility {
  const value = event?.content['history_visibility']
  return VISIBILITIES.has(value) ? (value as HistoryVisibility) : 'shared'
}

/** What a state says about who may read: the room's visibility, and a user's membership if they ever had one. */
export interface ReadingState {
  readonly visibility: HistoryVisibility
  readonly membership: string | undefined
}

/**
 * Whether a user may see an event. `before` and `after`: the state around the event; they differ only for visibility
 * events and for the user's own memberships, where the more generous one counts. `joinedLater`: the user joined the room
 * at any time after the event.
 */
export function mayReadEvent(
  { before, after }: { before: ReadingState; after: ReadingState },
  joinedLater: boolean,
): boolean {
  return mayReadAt(before, joinedLater) || mayReadAt(after, joinedLater)
}

function mayReadAt({ visibility, membership }: ReadingState, joinedLater: boolean): boolean {
  // 1 and 2: everybody, and whoever was in the room
  if (visibility === 'world_readable' || membership === 'join') return true
  // 3: who joined since then
  if (visibility === 'shared' && joinedLater) return true
  // 4 and 5: who was invited, and nobody else
  return visibility === 'invited' && membership === 'invite'
}
