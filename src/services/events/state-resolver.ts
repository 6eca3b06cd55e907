import type { Database, Query } from '../../storage/database.js'
import { covers, coverPosition, type AuthChainPosition } from '../../storage/auth-reach.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import type { StateSnapshot } from '../../storage/state-snapshot.js'
import type { Event } from '../../protocol/event.js'
import type { EventId } from '../../protocol/ids.js'
import { splitStateKey, stateKeyOf, type StateKey, type StateMap } from '../../protocol/state-map.js'
import { resolveState } from '../../protocol/state-resolution.js'
import type { SnapshotBuilder, SnapshotRef } from './snapshot-builder.js'
import type { StateKeyInterner } from './state-key-interner.js'

interface Stores {
  readonly events: EventsStore
  readonly graph: EventGraphStore
  readonly snapshots: StateSnapshotsStore
  readonly stateKeys: StateKeysStore
}

/** State that the authorization rules may read whatever the event: what a narrowed state must keep. */
const AUTH_TYPES = new Set([
  'm.room.create',
  'm.room.power_levels',
  'm.room.join_rules',
  'm.room.third_party_invite',
])

/**
 * Gives the state that several branches of a room's graph come to. Runs the room version's algorithm on what the
 * branches disagree about and nothing else; branches with the same snapshot need no resolution.
 * https://spec.matrix.org/latest/rooms/v12/#state-resolution
 */
export class StateResolver {
  readonly #db: Database
  readonly #stores: Stores
  readonly #interner: StateKeyInterner
  readonly #builder: SnapshotBuilder

  constructor(db: Database, stores: Stores, parts: { interner: StateKeyInterner; builder: SnapshotBuilder }) {
    this.#db = db
    this.#stores = stores
    this.#interner = parts.interner
    this.#builder = parts.builder
  }

  /** The state of the room where branches with these states (at least one) meet. */
  async resolve(room: RoomRecord, snapshotNids: readonly number[]): Promise<SnapshotRef> {
    const distinct = [...new Set(snapshotNids)]
    const [first, ...others] = distinct
    if (first === undefined) throw new Error(`No state to resolve in ${room.roomId}`)
    const q = this.#db.reader
    if (others.length === 0) {
      return { nid: first, snapshot: await this.#stores.snapshots.get(q, first), rows: [] }
    }
    const loaded = await this.#stores.snapshots.getMany(q, distinct)
    const snapshots = distinct.map((nid) => {
      const snapshot = loaded.get(nid)
      if (!snapshot) throw new Error(`State snapshot ${nid} is missing`)
      return snapshot
    })
    const base = { nid: first, snapshot: snapshots[0]!, rows: [] }
    const changes = await this.#resolveConflicts(q, room, snapshots)
    return this.#builder.build(room, base, changes)
  }

  async #resolveConflicts(
    q: Query,
    room: RoomRecord,
    snapshots: readonly StateSnapshot[],
  ): Promise<Map<number, number | undefined>> {
    const base = snapshots[0]!
    const conflictedKeys = new Set<number>()
    for (const other of snapshots.slice(1)) {
      for (const key of base.changesTo(other).keys()) conflictedKeys.add(key)
    }
    const conflictedNids = new Set<number>()
    for (const snapshot of snapshots) {
      for (const key of conflictedKeys) {
        const nid = snapshot.get(key)
        if (nid !== undefined) conflictedNids.add(nid)
      }
    }
    const cover = await this.#coverConflicts(q, snapshots, conflictedNids)
    const known = await this.#loadEvents(q, [...conflictedNids, ...cover.everything.keys()])
    const sets = await this.#narrowedSets(q, snapshots, { conflictedKeys, events: known.byNid })
    const idsOf = (nids: Iterable<number>): Set<EventId> => {
      const ids = [...nids].flatMap((nid) => known.byNid.get(nid)?.event.eventId ?? [])
      return new Set(ids)
    }
    const resolved = resolveState({
      rules: room.rules,
      stateSets: sets.maps,
      authDifference: idsOf(cover.difference),
      conflictedSubgraph: idsOf(cover.subgraph),
      getEvent: (id) => known.byId.get(id)?.event ?? sets.extra.get(id),
      isRejected: (id) => known.byId.get(id)?.rejected !== null && known.byId.has(id),
    })
    return this.#toChanges(base, resolved, {
      conflictedKeys,
      nidOf: (id) => sets.nids.get(id) ?? known.byId.get(id)?.eventNid,
    })
  }

  /**
   * The auth difference, the conflicted subgraph and all that the conflicted events' auth chains cover, by nid. Here a
   * state set's auth chain includes the events of the set themselves, as in every implementation; those in which it
   * makes a difference are conflicted anyway.
   */
  async #coverConflicts(
    q: Query,
    snapshots: readonly StateSnapshot[],
    conflictedNids: ReadonlySet<number>,
  ): Promise<{ difference: number[]; subgraph: number[]; everything: Map<number, AuthChainPosition> }> {
    const shared: number[] = []
    for (const nid of snapshots[0]!.events) if (!conflictedNids.has(nid)) shared.push(nid)
    const positions = await this.#stores.graph.getAuthPositions(q, [...conflictedNids, ...shared])
    const sharedReach = new Map<number, number>()
    for (const nid of shared) {
      const position = positions.get(nid)
      if (position) coverPosition(sharedReach, position)
    }
    const reaches = snapshots.map((snapshot) => {
      const reach = new Map(sharedReach)
      for (const nid of snapshot.events) {
        const position = conflictedNids.has(nid) ? positions.get(nid) : undefined
        if (position) coverPosition(reach, position)
      }
      return reach
    })
    const conflictedReach = new Map<number, number>()
    for (const nid of conflictedNids) {
      const position = positions.get(nid)
      if (position) coverPosition(conflictedReach, position)
    }
    const ranges = [...conflictedReach].map(([chainNid, last]) => ({ chainNid, first: 0, last }))
    const everything = await this.#stores.graph.listChainRanges(q, ranges)
    const conflictedPositions = [...conflictedNids].flatMap((nid) => positions.get(nid) ?? [])
    const difference: number[] = []
    const subgraph: number[] = []
    for (const [nid, position] of everything) {
      const inSome = reaches.some((reach) => covers(reach, position))
      if (inSome && !reaches.every((reach) => covers(reach, position))) difference.push(nid)
      // On a path between conflicted events: below one of them, and with one of them below.
      const descends = conflictedPositions.some((ancestor) => covers(position.reach, ancestor))
      if (descends || conflictedNids.has(nid)) subgraph.push(nid)
    }
    return { difference, subgraph, everything }
  }

  async #loadEvents(
    q: Query,
    nids: readonly number[],
  ): Promise<{ byNid: Map<number, StoredEvent>; byId: Map<EventId, StoredEvent> }> {
    const byNid = await this.#stores.events.getByNids(q, [...new Set(nids)])
    return { byNid, byId: new Map([...byNid.values()].map((stored) => [stored.event.eventId, stored])) }
  }

  /**
   * The state sets as the algorithm wants them, narrowed to what they disagree about and what the authorization rules
   * may ask: in a room with 10,000 members a fork touches a handful of them.
   */
  async #narrowedSets(
    q: Query,
    snapshots: readonly StateSnapshot[],
    conflict: { conflictedKeys: ReadonlySet<number>; events: ReadonlyMap<number, StoredEvent> },
  ): Promise<{ maps: StateMap[]; nids: Map<EventId, number>; extra: Map<EventId, Event> }> {
    const base = snapshots[0]!
    const wantedKeys = new Set(conflict.conflictedKeys)
    const people = [...conflict.events.values()].flatMap((stored) => membersAskedFor(stored.event))
    const memberKeys = [...new Set(people)].map((userId) => stateKeyOf('m.room.member', userId))
    for (const nid of (await this.#stores.stateKeys.find(q, memberKeys)).values()) wantedKeys.add(nid)
    for (const nid of await this.#authKeys(q, base)) wantedKeys.add(nid)
    const names = await this.#stores.stateKeys.names(q, [...wantedKeys])
    const wantedNids = snapshots.flatMap((snapshot) =>
      [...wantedKeys].flatMap((key) => snapshot.get(key) ?? []),
    )
    const events = await this.#stores.events.getByNids(q, [...new Set(wantedNids)])
    const nids = new Map<EventId, number>()
    const extra = new Map<EventId, Event>()
    for (const [nid, stored] of events) {
      nids.set(stored.event.eventId, nid)
      extra.set(stored.event.eventId, stored.event)
    }
    const maps = snapshots.map((snapshot) => {
      const map = new Map<StateKey, EventId>()
      for (const key of wantedKeys) {
        const nid = snapshot.get(key)
        const name = names.get(key)
        const stored = nid === undefined ? undefined : events.get(nid)
        if (name !== undefined && stored) map.set(name, stored.event.eventId)
      }
      return map
    })
    return { maps, nids, extra }
  }

  /** The keys of a state that rules for any event may read. */
  async #authKeys(q: Query, snapshot: StateSnapshot): Promise<number[]> {
    const names = await this.#stores.stateKeys.names(q, [...snapshot.keys])
    return [...names].flatMap(([nid, name]) => (AUTH_TYPES.has(splitStateKey(name)[0]) ? [nid] : []))
  }

  async #toChanges(
    base: StateSnapshot,
    resolved: StateMap,
    known: { conflictedKeys: ReadonlySet<number>; nidOf: (id: EventId) => number | undefined },
  ): Promise<Map<number, number | undefined>> {
    const keyNids = await this.#interner.intern([...resolved.keys()])
    const changes = new Map<number, number | undefined>()
    // A key about which the branches disagreed may end up unset.
    for (const key of known.conflictedKeys) if (base.get(key) !== undefined) changes.set(key, undefined)
    for (const [name, id] of resolved) {
      const key = keyNids.get(name)
      const nid = known.nidOf(id)
      if (key !== undefined && nid !== undefined) changes.set(key, nid)
    }
    return changes
  }
}

/** Whose membership the rules for an event may ask: the sender's, the target's, the authorising user's. */
function membersAskedFor(event: Event): string[] {
  const authorising = event.content['join_authorised_via_users_server']
  return [
    event.sender,
    ...(event.type === 'm.room.member' && event.stateKey !== undefined ? [event.stateKey] : []),
    ...(typeof authorising === 'string' ? [authorising] : []),
  ]
}
