import type { Event } from './event.js'
import { checkEventAuth } from './event-auth.js'
import type { EventId } from './ids.js'
import { parsePowerLevels, userPowerLevel } from './power-levels.js'
import type { RoomVersionRules } from './room-versions.js'
import type { ResolutionStep } from './resolution-step.js'
import { stateKeyOf, type AuthState, type StateKey, type StateMap } from './state-map.js'
import { topologicalSort } from './topological-sort.js'

interface ResolutionInput {
  readonly rules: RoomVersionRules
  readonly stateSets: readonly StateMap[]
  readonly authDifference: ReadonlySet<EventId>
  readonly conflictedSubgraph: ReadonlySet<EventId>
  getEvent(id: EventId): Event | undefined
  isRejected(id: EventId): boolean
  readonly onStep?: (step: ResolutionStep) => void
}

/**
 * State resolution of room versions 2 to 11, and with its differences that of version 12.
 * https://spec.matrix.org/latest/rooms/v12/#state-resolution
 */
export function resolveV2(input: ResolutionInput): StateMap {
  const { unconflicted, conflicted } = separate(input.stateSets)
  const isV21 = input.rules.stateResolution === 'v2.1'
  const fullConflictedSet = stateEvents(input, [
    ...conflicted,
    ...input.authDifference,
    ...(isV21 ? input.conflictedSubgraph : []),
  ])
  // 1: power events, and of their auth chains what is in the full conflicted set
  const powerEvents = withAuthChains([...fullConflictedSet.values()].filter(isPowerEvent), fullConflictedSet)
  // 2: the power events one after the other; version 12 begins with nothing.
  const start = isV21 ? new Map<StateKey, EventId>() : unconflicted
  const partial = iterativeAuthChecks(input, start, {
    pass: 'power',
    events: sortByPower(input, powerEvents),
  })
  // 3: the others in the order of the mainline
  const others = [...fullConflictedSet.values()].filter((event) => !powerEvents.has(event.eventId))
  const ordered = sortByMainline(input, others, partial.get(POWER_LEVELS_KEY))
  // 4: the others one after the other
  const resolved = iterativeAuthChecks(input, partial, { pass: 'mainline', events: ordered })
  // 5: nothing changes about what was undisputed.
  for (const [key, id] of unconflicted) resolved.set(key, id)
  return resolved
}

const POWER_LEVELS_KEY = stateKeyOf('m.room.power_levels', '')

/** What is the same in every state, and the events of which that is not true. */
function separate(stateSets: readonly StateMap[]): {
  unconflicted: Map<StateKey, EventId>
  conflicted: Set<EventId>
} {
  const unconflicted = new Map<StateKey, EventId>()
  const conflicted = new Set<EventId>()
  const keys = new Set(stateSets.flatMap((state) => [...state.keys()]))
  for (const key of keys) {
    const ids = stateSets.map((state) => state.get(key))
    const [first] = ids
    if (first !== undefined && ids.every((id) => id === first)) unconflicted.set(key, first)
    else for (const id of ids) if (id !== undefined) conflicted.add(id)
  }
  return { unconflicted, conflicted }
}

function stateEvents(input: ResolutionInput, ids: readonly EventId[]): Map<EventId, Event> {
  const events = new Map<EventId, Event>()
  for (const id of ids) {
    const event = input.getEvent(id)
    if (event?.isState()) events.set(id, event)
  }
  return events
}

/**
 * Whether an event might take somebody's power away. Power levels and join rules with a state key, which nobody reads,
 * are none for any server.
 */
function isPowerEvent(event: Event): boolean {
  switch (event.type) {
    case 'm.room.power_levels':
    case 'm.room.join_rules':
      return event.stateKey === ''
    case 'm.room.member': {
      const { membership } = event.content
      return (membership === 'leave' || membership === 'ban') && event.sender !== event.stateKey
    }
    default:
      return false
  }
}

/**
 * Events and what of a set can be reached from them by `auth_events` within the set. (Where a path leaves the set, no
 * server goes on.)
 */
function withAuthChains(events: readonly Event[], within: ReadonlyMap<EventId, Event>): Map<EventId, Event> {
  const reached = new Map(events.map((event) => [event.eventId, event]))
  const open = [...events]
  for (let event = open.pop(); event; event = open.pop()) {
    for (const id of event.authEventIds) {
      const authEvent = within.get(id)
      if (!authEvent || reached.has(id)) continue
      reached.set(id, authEvent)
      open.push(authEvent)
    }
  }
  return reached
}

/** Reverse topological power ordering. */
function sortByPower(input: ResolutionInput, events: ReadonlyMap<EventId, Event>): Event[] {
  const power = new Map([...events].map(([id, event]) => [id, senderPower(input, event)]))
  const compare = (a: Event, b: Event): number => {
    const [powerOfA, powerOfB] = [power.get(a.eventId)!, power.get(b.eventId)!]
    // Compared, not subtracted: the power of creators is infinite.
    if (powerOfA !== powerOfB) return powerOfA > powerOfB ? -1 : 1
    return byAge(a, b)
  }
  const authEvents = (event: Event): Event[] => event.authEventIds.flatMap((id) => events.get(id) ?? [])
  return topologicalSort(events.values(), authEvents, compare)
}

/** The sender's power level as the event's own auth events have it. */
function senderPower(input: ResolutionInput, event: Event): number {
  const authEvents = ownAuthEvents(input, event)
  const levels = parsePowerLevels(input.rules, authEvents.get(POWER_LEVELS_KEY))
  return userPowerLevel(input.rules, levels, authEvents.get(CREATE_KEY), event.sender)
}

const CREATE_KEY = stateKeyOf('m.room.create', '')

/** Earlier `origin_server_ts` first, then the smaller event ID. */
function byAge(a: Event, b: Event): number {
  if (a.originServerTs !== b.originServerTs) return a.originServerTs - b.originServerTs
  return a.eventId < b.eventId ? -1 : 1
}

/** Mainline ordering based on a power levels event. */
function sortByMainline(
  input: ResolutionInput,
  events: readonly Event[],
  powerLevelsId: EventId | undefined,
): Event[] {
  const positions = new Map<EventId, number>()
  let next = powerLevelsId === undefined ? undefined : input.getEvent(powerLevelsId)
  for (let position = 0; next && !positions.has(next.eventId); position++) {
    positions.set(next.eventId, position)
    next = powerLevelsOf(input, next)
  }
  // What does not meet the mainline comes first.
  const mainlinePosition = (event: Event): number => {
    const passed: EventId[] = []
    let found = Infinity
    for (let ancestor = powerLevelsOf(input, event); ancestor; ancestor = powerLevelsOf(input, ancestor)) {
      const position = positions.get(ancestor.eventId)
      if (position !== undefined) {
        found = position
        break
      }
      // Marked at once: hostile events of the first room versions can name each other in a circle.
      positions.set(ancestor.eventId, Infinity)
      passed.push(ancestor.eventId)
    }
    for (const id of passed) positions.set(id, found)
    return found
  }
  const placed = events.map((event) => ({ event, position: mainlinePosition(event) }))
  placed.sort((a, b) => {
    if (a.position !== b.position) return a.position > b.position ? -1 : 1
    return byAge(a.event, b.event)
  })
  return placed.map(({ event }) => event)
}

function powerLevelsOf(input: ResolutionInput, event: Event): Event | undefined {
  for (const id of event.authEventIds) {
    const authEvent = input.getEvent(id)
    if (authEvent?.type === 'm.room.power_levels' && authEvent.stateKey === '') return authEvent
  }
  return undefined
}

/**
 * Applies events to a state one after the other where the authorization rules allow it. What the state lacks is taken
 * from the event's own auth events unless those were rejected. Events that were rejected because of the state at them
 * are tried like any other.
 */
function iterativeAuthChecks(
  input: ResolutionInput,
  start: StateMap,
  { pass, events }: { readonly pass: ResolutionStep['pass']; readonly events: readonly Event[] },
): Map<StateKey, EventId> {
  const state = new Map(start)
  for (const event of events) {
    let own: Map<StateKey, Event> | undefined
    const authState: AuthState = {
      get: (type, stateKey) => {
        const key = stateKeyOf(type, stateKey)
        const id = state.get(key)
        if (id !== undefined && !input.isRejected(id)) return input.getEvent(id)
        own ??= ownAuthEvents(input, event)
        const listed = own.get(key)
        return listed && !input.isRejected(listed.eventId) ? listed : undefined
      },
    }
    if (event.stateKey === undefined) continue
    const verdict = checkEventAuth(input.rules, event, authState)
    input.onStep?.({ pass, event, verdict })
    if (!verdict.allowed) continue
    state.set(stateKeyOf(event.type, event.stateKey), event.eventId)
  }
  return state
}

/** An event's auth events, with the create event that a room ID stands for. */
function ownAuthEvents(input: ResolutionInput, event: Event): Map<StateKey, Event> {
  const byKey = new Map<StateKey, Event>()
  const ids = input.rules.roomIdIsCreateHash
    ? [`$${event.roomId.slice(1)}` as EventId, ...event.authEventIds]
    : event.authEventIds
  for (const id of ids) {
    const authEvent = input.getEvent(id)
    if (authEvent?.stateKey === undefined) continue
    byKey.set(stateKeyOf(authEvent.type, authEvent.stateKey), authEvent)
  }
  return byKey
}
