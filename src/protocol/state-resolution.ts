import type { Event } from './event.js'
import type { EventId } from './ids.js'
import type { ResolutionStep } from './resolution-step.js'
import type { RoomVersionRules } from './room-versions.js'
import type { StateMap } from './state-map.js'
import { resolveV1 } from './state-resolution-v1.js'
import { resolveV2 } from './state-resolution-v2.js'

export interface StateResolutionInput {
  readonly rules: RoomVersionRules
  /** The states to be resolved. */
  readonly stateSets: readonly StateMap[]
  /** Events in the full auth chain of some of the states, but not of all. Not asked for in version 1. */
  readonly authDifference: ReadonlySet<EventId>
  /** Events on paths of `auth_events` between conflicted events. Asked for in room version 12. */
  readonly conflictedSubgraph: ReadonlySet<EventId>
  /**
   * An event of the state sets, the auth difference or the subgraph; an auth event of one of those; a power levels event
   * in the auth chain of one of those; the create event. Others may be undefined.
   */
  getEvent(id: EventId): Event | undefined
  isRejected(id: EventId): boolean
  /** Told of what is tried, in order: for people who want to know why. Must change nothing. */
  readonly onStep?: (step: ResolutionStep) => void
}

/**
 * The state that a set of states comes to, by the algorithm of the room version. The order of the states does not
 * matter; one state comes to itself.
 * https://spec.matrix.org/latest/rooms/
 */
export function resolveState(input: StateResolutionInput): StateMap {
  const [first, ...others] = input.stateSets
  if (!first) return new Map()
  if (others.length === 0) return first
  return input.rules.stateResolution === 'v1' ? resolveV1(input) : resolveV2(input)
}
