import { createHash } from 'node:crypto'
import { checkAuthEvents, checkEventAuth } from '../../src/protocol/event-auth.js'
import type { Event } from '../../src/protocol/event.js'
import type { EventId } from '../../src/protocol/ids.js'
import { parsePowerLevels, userPowerLevel } from '../../src/protocol/power-levels.js'
import type { RoomVersionRules } from '../../src/protocol/room-versions.js'
import { splitStateKey, stateKeyOf, type StateKey, type StateMap } from '../../src/protocol/state-map.js'
import { topologicalSort } from '../../src/protocol/topological-sort.js'

type Events = ReadonlyMap<EventId, Event>

/**
 * State resolution a second time, as the specification puts it into words and as slow as that is: to be compared with
 * what the server does. Works out the auth difference and the conflicted subgraph by walking the whole graph.
 */
export function resolveNaively(
  rules: RoomVersionRules,
  states: readonly StateMap[],
  events: Events,
): StateMap {
  if (rules.stateResolution === 'v1') return resolveNaivelyV1(rules, states, events)
  return resolveNaivelyV2(rules, states, events)
}

/** The state before an event, as the specification has it and as slow as that is. */
export function naiveStateBefore(target: Event, all: Events): StateMap {
  const after = new Map<EventId, StateMap>()
  const rejected = new Set<EventId>()
  const before = (event: Event): StateMap => {
    const states = event.prevEventIds.flatMap((id) => after.get(id) ?? [])
    return states.length === 1
      ? states[0]!
      : states.length === 0
        ? new Map()
        : resolveNaively(event.rules, states, all)
  }
  const order = topologicalSort(
    all.keys(),
    (id) => [...all.get(id)!.prevEventIds, ...all.get(id)!.authEventIds],
    (x, y) => (x < y ? -1 : 1),
  )
  for (const id of order) {
    const event = all.get(id)!
    if (id === target.eventId) continue
    const state = before(event)
    const of = (map: StateMap) => ({
      get: (type: string, key: string) => {
        const held = map.get(stateKeyOf(type, key))
        return held === undefined ? undefined : all.get(held)
      },
    })
    const create = [...all.values()].find(({ type }) => type === 'm.room.create')!
    const listed = event.authEventIds.map((other) => all.get(other)!)
    const byAuth = new Map<StateKey, EventId>(
      [create, ...listed].map((other) => [stateKeyOf(other.type, other.stateKey!), other.eventId]),
    )
    const isAllowed =
      checkAuthEvents(
        event.rules,
        event,
        listed.map((entry) => ({ event: entry, rejected: rejected.has(entry.eventId) })),
      ).allowed &&
      checkEventAuth(event.rules, event, of(byAuth)).allowed &&
      checkEventAuth(event.rules, event, of(state)).allowed
    if (!isAllowed) rejected.add(id)
    const isApplied = isAllowed && event.isState()
    after.set(id, isApplied ? new Map(state).set(stateKeyOf(event.type, event.stateKey!), id) : state)
  }
  return before(target)
}

/** All that can be reached from an event by its auth events. */
export function authChain(id: EventId, events: Events): Set<EventId> {
  const chain = new Set<EventId>()
  const walk = (from: EventId): void => {
    for (const next of events.get(from)?.authEventIds ?? []) {
      if (chain.has(next)) continue
      chain.add(next)
      walk(next)
    }
  }
  walk(id)
  return chain
}

/** Of each state all its events and their auth chains: what is in some, but not in all. */
export function authDifference(states: readonly StateMap[], events: Events): Set<EventId> {
  const chains = states.map((state) => {
    const full = new Set<EventId>(state.values())
    for (const id of state.values()) for (const ancestor of authChain(id, events)) full.add(ancestor)
    return full
  })
  const all = new Set(chains.flatMap((chain) => [...chain]))
  return new Set([...all].filter((id) => !chains.every((chain) => chain.has(id))))
}

/** Conflicted events, and what has one of them in its auth chain and is in the auth chain of another. */
export function conflictedSubgraph(states: readonly StateMap[], events: Events): Set<EventId> {
  const conflicted = [...conflictedEvents(states)]
  const subgraph = new Set(conflicted)
  for (const id of events.keys()) {
    const below = conflicted.some((other) => authChain(id, events).has(other))
    const above = conflicted.some((other) => authChain(other, events).has(id))
    if (below && above) subgraph.add(id)
  }
  return subgraph
}

function allKeys(states: readonly StateMap[]): StateKey[] {
  return [...new Set(states.flatMap((state) => [...state.keys()]))].sort()
}

function conflictedEvents(states: readonly StateMap[]): Set<EventId> {
  const conflicted = new Set<EventId>()
  for (const key of allKeys(states)) {
    const values = states.map((state) => state.get(key))
    if (new Set(values).size === 1) continue
    for (const value of values) if (value !== undefined) conflicted.add(value)
  }
  return conflicted
}

function resolveNaivelyV2(rules: RoomVersionRules, states: readonly StateMap[], events: Events): StateMap {
  const isV21 = rules.stateResolution === 'v2.1'
  const unconflicted = new Map<StateKey, EventId>()
  for (const key of allKeys(states)) {
    const values = states.map((state) => state.get(key))
    if (new Set(values).size === 1) unconflicted.set(key, values[0]!)
  }
  const full = new Set([...conflictedEvents(states), ...authDifference(states, events)])
  if (isV21) for (const id of conflictedSubgraph(states, events)) full.add(id)

  const powerSet = new Set<EventId>()
  const enlarge = (id: EventId): void => {
    powerSet.add(id)
    for (const next of events.get(id)!.authEventIds) if (full.has(next)) enlarge(next)
  }
  for (const id of full) if (isPowerEvent(events.get(id)!)) enlarge(id)

  const partial = applyOneByOne(
    rules,
    isV21 ? new Map() : unconflicted,
    powerOrder(rules, powerSet, events),
    events,
  )
  const rest = [...full].filter((id) => !powerSet.has(id))
  const powerLevels = partial.get(stateKeyOf('m.room.power_levels', ''))
  const resolved = applyOneByOne(rules, partial, mainlineOrder(rest, powerLevels, events), events)
  return new Map([...resolved, ...unconflicted])
}

function isPowerEvent({ type, stateKey, sender, content }: Event): boolean {
  if (type === 'm.room.power_levels' || type === 'm.room.join_rules') return true
  const { membership } = content
  return type === 'm.room.member' && sender !== stateKey && (membership === 'leave' || membership === 'ban')
}

/** Again and again the smallest of those of which all auth events have been taken. */
function powerOrder(rules: RoomVersionRules, ids: ReadonlySet<EventId>, events: Events): EventId[] {
  const left = new Set(ids)
  const order: EventId[] = []
  while (left.size > 0) {
    const possible = [...left].filter((id) => !events.get(id)!.authEventIds.some((next) => left.has(next)))
    possible.sort((x, y) => {
      const [powerOfX, powerOfY] = [powerOf(rules, x, events), powerOf(rules, y, events)]
      if (powerOfX > powerOfY) return -1
      if (powerOfX < powerOfY) return 1
      return olderFirst(x, y, events)
    })
    order.push(possible[0]!)
    left.delete(possible[0]!)
  }
  return order
}

function powerOf(rules: RoomVersionRules, id: EventId, events: Events): number {
  const event = events.get(id)!
  const listed = event.authEventIds.map((next) => events.get(next)!)
  const create = [...events.values()].find((other) => other.type === 'm.room.create')!
  const levels = listed.find((other) => other.type === 'm.room.power_levels')
  return userPowerLevel(rules, parsePowerLevels(rules, levels), create, event.sender)
}

function olderFirst(x: EventId, y: EventId, events: Events): number {
  const difference = events.get(x)!.originServerTs - events.get(y)!.originServerTs
  if (difference !== 0) return difference
  return x < y ? -1 : 1
}

function mainlineOrder(ids: readonly EventId[], powerLevels: EventId | undefined, events: Events): EventId[] {
  const mainline = powerLevels === undefined ? [] : [powerLevels, ...powerLevelsBelow(powerLevels, events)]
  const position = (id: EventId): number => {
    const met = powerLevelsBelow(id, events).find((other) => mainline.includes(other))
    return met === undefined ? Infinity : mainline.indexOf(met)
  }
  return [...ids].sort((x, y) => {
    if (position(x) > position(y)) return -1
    if (position(x) < position(y)) return 1
    return olderFirst(x, y, events)
  })
}

/** The power levels in its auth events, those in theirs, and so on. */
function powerLevelsBelow(id: EventId, events: Events): EventId[] {
  const next = events.get(id)!.authEventIds.find((other) => events.get(other)!.type === 'm.room.power_levels')
  return next === undefined ? [] : [next, ...powerLevelsBelow(next, events)]
}

function applyOneByOne(
  rules: RoomVersionRules,
  start: StateMap,
  order: readonly EventId[],
  events: Events,
): Map<StateKey, EventId> {
  const state = new Map(start)
  for (const id of order) {
    const event = events.get(id)!
    const verdict = checkEventAuth(rules, event, {
      get: (type, stateKey) => {
        const held = state.get(stateKeyOf(type, stateKey))
        if (held !== undefined) return events.get(held)
        if (type === 'm.room.create') return [...events.values()].find((other) => other.type === type)
        return event.authEventIds
          .map((next) => events.get(next)!)
          .find((other) => other.type === type && other.stateKey === stateKey)
      },
    })
    if (verdict.allowed) state.set(stateKeyOf(event.type, event.stateKey!), id)
  }
  return state
}

function resolveNaivelyV1(rules: RoomVersionRules, states: readonly StateMap[], events: Events): StateMap {
  const choices = new Map<StateKey, EventId[]>()
  for (const key of allKeys(states)) {
    choices.set(key, [...new Set(states.flatMap((state) => state.get(key) ?? []))])
  }
  const result = new Map<StateKey, EventId>()
  for (const [key, ids] of choices) if (ids.length === 1) result.set(key, ids[0]!)
  const deepestLast = (x: EventId, y: EventId): number => {
    const difference = events.get(x)!.depth - events.get(y)!.depth
    if (difference !== 0) return difference
    const sha1 = (id: EventId): string => createHash('sha1').update(id).digest('hex')
    return sha1(x) > sha1(y) ? -1 : 1
  }
  const isAllowed = (id: EventId, state: StateMap): boolean =>
    checkEventAuth(rules, events.get(id)!, {
      get: (type, stateKey) => {
        const held = state.get(stateKeyOf(type, stateKey))
        return held === undefined ? undefined : events.get(held)
      },
    }).allowed
  const conflicted = (type: string): [StateKey, EventId[]][] =>
    [...choices]
      .filter(([key, ids]) => ids.length > 1 && splitStateKey(key)[0] === type)
      .map(([key, ids]) => [key, ids.sort(deepestLast)])
  const authTypes = ['m.room.power_levels', 'm.room.join_rules', 'm.room.member']
  for (const type of authTypes) {
    const before = new Map(result)
    for (const [key, ids] of conflicted(type)) {
      let chosen = ids[0]!
      for (const id of ids.slice(1)) {
        if (!isAllowed(id, new Map([...before, [key, chosen]]))) break
        chosen = id
      }
      result.set(key, chosen)
    }
  }
  const before = new Map(result)
  for (const [key, ids] of choices) {
    if (ids.length === 1 || authTypes.includes(splitStateKey(key)[0])) continue
    const deepestFirst = [...ids].sort(deepestLast).reverse()
    result.set(key, deepestFirst.find((id) => isAllowed(id, before)) ?? deepestFirst.at(-1)!)
  }
  return result
}
