import { createHash } from 'node:crypto'
import { ALLOWED } from './auth-verdict.js'
import type { Event } from './event.js'
import { checkEventAuth } from './event-auth.js'
import type { EventId } from './ids.js'
import type { RoomVersionRules } from './room-versions.js'
import type { ResolutionStep } from './resolution-step.js'
import { splitStateKey, stateKeyOf, type AuthState, type StateKey, type StateMap } from './state-map.js'

interface ResolutionInput {
  readonly rules: RoomVersionRules
  readonly stateSets: readonly StateMap[]
  getEvent(id: EventId): Event | undefined
  readonly onStep?: (step: ResolutionStep) => void
}

/** Conflicts of these kinds are resolved first, one kind after the other: what is allowed depends on them. */
const PASSES: readonly ((type: string, stateKey: string) => boolean)[] = [
  (type, stateKey) => type === 'm.room.power_levels' && stateKey === '',
  (type) => type === 'm.room.join_rules',
  (type) => type === 'm.room.member',
]

/**
 * State resolution of room version 1.
 * https://spec.matrix.org/latest/rooms/v1/#state-resolution
 */
export function resolveV1(input: ResolutionInput): StateMap {
  const { resolved, conflicted } = separate(input.stateSets)
  const eventsOf = (ids: ReadonlySet<EventId>): Event[] =>
    [...ids].flatMap((id) => input.getEvent(id) ?? []).sort(byDepth)
  for (const isOfPass of PASSES) {
    const chosen = new Map<StateKey, EventId>()
    const before = stateOf(input, resolved)
    for (const [key, ids] of conflicted) {
      if (!isOfPass(...splitStateKey(key))) continue
      const winner = lastInUnbrokenLine(input, eventsOf(ids), before)
      if (winner) chosen.set(key, winner.eventId)
      conflicted.delete(key)
    }
    // Only now, so that the order in which members are looked at does not matter.
    for (const [key, id] of chosen) resolved.set(key, id)
  }
  const authState = stateOf(input, resolved)
  const rest = [...conflicted].map(
    ([key, ids]) => [key, highestAllowed(input, eventsOf(ids), authState)] as const,
  )
  for (const [key, winner] of rest) if (winner) resolved.set(key, winner.eventId)
  return resolved
}

/** States conflict about a key where they have different events for it; that some have none is no conflict. */
function separate(stateSets: readonly StateMap[]): {
  resolved: Map<StateKey, EventId>
  conflicted: Map<StateKey, Set<EventId>>
} {
  const resolved = new Map<StateKey, EventId>()
  const conflicted = new Map<StateKey, Set<EventId>>()
  for (const state of stateSets) {
    for (const [key, id] of state) {
      const others = conflicted.get(key)
      const known = resolved.get(key)
      if (others) others.add(id)
      else if (known === undefined) resolved.set(key, id)
      else if (known !== id) {
        conflicted.set(key, new Set([known, id]))
        resolved.delete(key)
      }
    }
  }
  return { resolved, conflicted }
}

/** Ascending depth, then descending SHA-1 of the event ID. */
function byDepth(a: Event, b: Event): number {
  if (a.depth !== b.depth) return a.depth - b.depth
  return sha1(a) < sha1(b) ? 1 : -1
}

function sha1(event: Event): string {
  return createHash('sha1').update(event.eventId).digest('hex')
}

/** Each event must be allowed in the state with the one before it: the last before the first that is not. */
function lastInUnbrokenLine(
  input: ResolutionInput,
  events: readonly Event[],
  before: AuthState,
): Event | undefined {
  let [winner] = events
  if (winner) input.onStep?.({ pass: 'line', event: winner, verdict: ALLOWED })
  for (const event of events.slice(1)) {
    const held = winner!
    const state: AuthState = {
      get: (type, stateKey) =>
        type === held.type && stateKey === held.stateKey ? held : before.get(type, stateKey),
    }
    const verdict = checkEventAuth(input.rules, event, state)
    input.onStep?.({ pass: 'line', event, verdict })
    if (!verdict.allowed) break
    winner = event
  }
  return winner
}

/**
 * The deepest event that is allowed. Where none is, the least deep: the text leaves that open, and it is what all servers
 * in such rooms do.
 */
function highestAllowed(
  input: ResolutionInput,
  events: readonly Event[],
  state: AuthState,
): Event | undefined {
  const isAllowed = (event: Event): boolean => {
    const verdict = checkEventAuth(input.rules, event, state)
    input.onStep?.({ pass: 'deepest', event, verdict })
    return verdict.allowed
  }
  return events.findLast(isAllowed) ?? events[0]
}

/** A copy of the state as it is now. */
function stateOf(input: ResolutionInput, resolved: StateMap): AuthState {
  const copy = new Map(resolved)
  return {
    get: (type, stateKey) => {
      const id = copy.get(stateKeyOf(type, stateKey))
      return id === undefined ? undefined : input.getEvent(id)
    },
  }
}
