import type { Database } from '../../storage/database.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateSnapshot } from '../../storage/state-snapshot.js'
import { authStateKeys } from '../../protocol/auth-events.js'
import type { EventId } from '../../protocol/ids.js'
import { stateKeyOf, type StateKey, type StateMap } from '../../protocol/state-map.js'
import type { ResolutionStep } from '../../protocol/resolution-step.js'
import { resolveState } from '../../protocol/state-resolution.js'
import type { AuthCover, ConflictCover, ConflictingEvents } from './auth-cover.js'
import type { EventLookup, PendingEvents } from './pending-events.js'

interface Parts {
  readonly stateKeys: StateKeysStore
  readonly lookup: EventLookup
  readonly cover: AuthCover
}

/** States of one room that disagree. */
export interface ConflictingStates {
  readonly room: RoomRecord
  /** Two or more, no two of them equal. */
  readonly snapshots: readonly StateSnapshot[]
  /** Events that cannot be read yet. */
  readonly pending: PendingEvents
  /** Told of each event that is tried, in order: for people who want to know why. */
  readonly onStep?: (step: ResolutionStep) => void
}

/** What the states come to, narrowed to what they disagree about and what the rules may ask. */
export interface ResolvedConflict {
  readonly resolved: StateMap
  /** The nids of the keys about which they disagree. */
  readonly keys: ReadonlySet<number>
  /** All events that had a part in it. */
  readonly events: ReadonlyMap<EventId, StoredEvent>
}

/** What branches disagree about. */
interface Conflict extends ConflictingEvents {
  readonly keys: ReadonlySet<number>
}

/** Events by both their names. */
interface KnownEvents {
  readonly byNid: Map<number, StoredEvent>
  readonly byId: Map<EventId, StoredEvent>
}

const POWER_LEVELS_KEY = stateKeyOf('m.room.power_levels', '')
const CREATE_KEY = stateKeyOf('m.room.create', '')

/**
 * Runs the room version's algorithm on what several states disagree about and nothing else. Only reads.
 * https://spec.matrix.org/latest/rooms/v12/#state-resolution
 */
export class ConflictResolver {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  async resolve({ room, snapshots, pending, onStep }: ConflictingStates): Promise<ResolvedConflict> {
    const conflict = findConflict(room, snapshots, pending)
    const cover = await this.#cover(conflict)
    const known: KnownEvents = { byNid: new Map(), byId: new Map() }
    await this.#know(known, [...conflict.nids, ...cover.difference, ...cover.subgraph], pending)
    const judged = [...known.byNid.values()]
    const sets = await this.#narrowedSets(conflict, judged, known)
    await this.#knowAuthEvents(known, judged, pending)
    const idsOf = (nids: readonly number[]): Set<EventId> =>
      new Set(nids.flatMap((nid) => known.byNid.get(nid)?.event.eventId ?? []))
    const resolved = resolveState({
      rules: room.rules,
      stateSets: sets,
      authDifference: idsOf(cover.difference),
      conflictedSubgraph: idsOf(cover.subgraph),
      getEvent: (id) => known.byId.get(id)?.event,
      isRejected: (id) => (known.byId.get(id)?.rejected ?? null) !== null,
      ...(onStep && { onStep }),
    })
    return { resolved, keys: conflict.keys, events: known.byId }
  }

  /** Nothing for version 1, whose algorithm looks at the states alone. */
  async #cover(conflict: Conflict): Promise<ConflictCover> {
    const { room, nids, pending } = conflict
    const { stateResolution } = room.rules
    if (stateResolution === 'v1') return { difference: [], subgraph: [] }
    const difference = await this.#parts.cover.difference(conflict)
    const subgraph = stateResolution === 'v2.1' ? await this.#parts.cover.subgraph(nids, pending) : []
    return { difference, subgraph }
  }

  async #know(known: KnownEvents, nids: readonly number[], pending: PendingEvents): Promise<void> {
    const missing = [...new Set(nids)].filter((nid) => !known.byNid.has(nid))
    for (const stored of (await this.#parts.lookup.byNids(missing, pending)).values()) add(known, stored)
  }

  /**
   * The auth events of events, and of power levels all power levels before them: what the orders are made of. One
   * replaces the other in most rooms, so that they are one chain, read with one statement.
   */
  async #knowAuthEvents(
    known: KnownEvents,
    judged: readonly StoredEvent[],
    pending: PendingEvents,
  ): Promise<void> {
    const done = new Set<number>()
    let citing = judged
    while (citing.length > 0) {
      const cited = citing.flatMap(({ event }) => event.authEventIds)
      const missing = [...new Set(cited)].filter((id) => !known.byId.has(id))
      for (const stored of (await this.#parts.lookup.byIds(missing, pending)).values()) add(known, stored)
      const levels = [...known.byNid.values()].filter(
        (stored) => isPowerLevels(stored) && !done.has(stored.eventNid),
      )
      const tops = levels.map(({ eventNid }) => eventNid)
      const chain = tops.length === 0 ? [] : await this.#parts.cover.chainsUpTo(tops, pending)
      await this.#know(known, chain, pending)
      citing = [...known.byNid.values()].filter(
        (stored) => isPowerLevels(stored) && !done.has(stored.eventNid),
      )
      for (const { eventNid } of citing) done.add(eventNid)
    }
  }

  /**
   * The state sets as the algorithm wants them, narrowed to what they disagree about and what the authorization rules
   * may ask: in a room with 10,000 members a fork touches a handful of them.
   */
  async #narrowedSets(
    { room, snapshots, keys, pending }: Conflict,
    judged: readonly StoredEvent[],
    known: KnownEvents,
  ): Promise<StateMap[]> {
    const asked = new Set([POWER_LEVELS_KEY, CREATE_KEY])
    for (const { event } of judged) {
      for (const [type, stateKey] of authStateKeys(room.rules, event)) asked.add(stateKeyOf(type, stateKey))
      if (event.stateKey !== undefined) asked.add(stateKeyOf(event.type, event.stateKey))
    }
    const q = this.#db.reader
    const names = new Map<number, StateKey>(await this.#parts.stateKeys.names(q, [...keys]))
    for (const [name, nid] of await this.#parts.stateKeys.find(q, [...asked])) names.set(nid, name)
    const held = snapshots.flatMap((snapshot) => [...names.keys()].flatMap((key) => snapshot.get(key) ?? []))
    await this.#know(known, held, pending)
    return snapshots.map((snapshot) => {
      const map = new Map<StateKey, EventId>()
      for (const [key, name] of names) {
        const nid = snapshot.get(key)
        const stored = nid === undefined ? undefined : known.byNid.get(nid)
        if (stored) map.set(name, stored.event.eventId)
      }
      return map
    })
  }
}

function findConflict(
  room: RoomRecord,
  snapshots: readonly StateSnapshot[],
  pending: PendingEvents,
): Conflict {
  const [base, ...others] = snapshots
  const keys = new Set(others.flatMap((other) => [...base!.changesTo(other).keys()]))
  const nids = new Set(snapshots.flatMap((snapshot) => [...keys].flatMap((key) => snapshot.get(key) ?? [])))
  return { room, snapshots, keys, nids, pending }
}

function add(known: KnownEvents, stored: StoredEvent): void {
  known.byNid.set(stored.eventNid, stored)
  known.byId.set(stored.event.eventId, stored)
}

function isPowerLevels({ event }: StoredEvent): boolean {
  return event.type === 'm.room.power_levels' && event.stateKey === ''
}
