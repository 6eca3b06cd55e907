import type { Database } from '../../storage/database.js'
import { StateSnapshot } from '../../storage/state-snapshot.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { EventStates } from '../../storage/stores/event-states.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { SnapshotRow, StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import type { StatelessEvent, StateSurveyStore } from '../../storage/stores/state-survey.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import type { EventId } from '../../protocol/ids.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import { topologicalSort } from '../../protocol/topological-sort.js'
import type { ConflictResolver } from './conflict-resolver.js'
import { GivenStates } from './given-states.js'
import type { EventLookup, PendingEvents } from './pending-events.js'
import { detachedHead } from './room-heads.js'
import { SnapshotBuilder, type SnapshotRef } from './snapshot-builder.js'
import type { StateKeyInterner } from './state-key-interner.js'
import { StateResolver } from './state-resolver.js'
import type { StateSurveyResult } from './state-survey.js'

/** How a state was found out: from the events before it, from other servers, or from what the room's state is now. */
export type StateOrigin = 'graph' | 'servers' | 'currentState'

interface Parts {
  readonly survey: StateSurveyStore
  readonly snapshots: StateSnapshotsStore
  readonly snapshotIds: IdAllocator
  readonly events: EventsStore
  readonly graph: EventGraphStore
  readonly members: RoomMembersStore
  readonly currentState: CurrentStateStore
  readonly conflicts: ConflictResolver
  readonly interner: StateKeyInterner
  readonly lookup: EventLookup
}

/** The states of a room that are to be found out. */
export interface RecoveryCase {
  readonly room: RoomRecord
  readonly survey: StateSurveyResult
  /** What other servers say of the state after events that have no place here: state events, which are held. */
  readonly given: ReadonlyMap<EventId, readonly EventId[]>
  /** Positions in the auth chains that are not written yet. */
  readonly pending: PendingEvents
}

/** What was found out. */
export interface Recovery {
  /** By snapshot that cannot be used, the one that is the same state. */
  readonly replaced: ReadonlyMap<number, SnapshotRef>
  /** Of events that named none. */
  readonly linked: readonly EventStates[]
  /** How each was found out: by snapshot, or by event that named none. */
  readonly origins: { readonly snapshots: Origins; readonly events: Origins }
  /** Events without a place here, the states after which would help. */
  readonly wanted: readonly EventId[]
  /** What must be written before the states may be used. */
  readonly rows: readonly SnapshotRow[]
  /** The state where branches with these states, of which some may be replaced, meet; undefined where one is lost. */
  resolve(snapshotNids: readonly number[]): Promise<SnapshotRef | undefined>
  /** After the rows have been committed, or will not be. */
  close(outcome: 'committed' | 'abandoned'): void
}

export type Origins = ReadonlyMap<number, StateOrigin>

/**
 * Finds states out that are lost, from those that are not: the state before an event is that where the states after its
 * previous events meet, and that after it follows. Only reads. Callers hold the room's lock.
 */
export class StateRecovery {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  async recover(given: RecoveryCase): Promise<Recovery> {
    const attempt = new Attempt(this.#db, this.#parts, given)
    await attempt.run()
    return attempt.result()
  }
}

/** Events that are read together. */
const BATCH = 500
/** Passes over the events; each finds something, and few are ever needed. */
const MAX_PASSES = 100

/** A state by snapshot, or, negative, the one before or after an event that names none. */
type Slot = number

interface Case {
  readonly event: StatelessEvent
  readonly before: Slot
  readonly after: Slot
  /** Of previous events with a place in the timeline. */
  readonly prevs: readonly { readonly eventNid: number; readonly after: Slot }[]
  /** Previous events without one. */
  readonly absent: readonly EventId[]
  readonly key: StateKey | undefined
}

interface Found {
  readonly ref: SnapshotRef
  readonly origin: StateOrigin
}

class Attempt {
  readonly #db: Database
  readonly #parts: Parts
  readonly #given: RecoveryCase
  readonly #builder: SnapshotBuilder
  readonly #resolver: StateResolver
  readonly #givenStates: GivenStates
  readonly #found = new Map<Slot, Found>()
  readonly #rows = new Map<number, SnapshotRow>()
  #cases: readonly Case[] = []

  constructor(db: Database, parts: Parts, given: RecoveryCase) {
    this.#db = db
    this.#parts = parts
    this.#given = given
    const { snapshots, snapshotIds, conflicts, interner, lookup } = parts
    const { unsound } = given.survey
    // A state that is found must not be given the name of one that cannot be read.
    const sound = {
      getMany: snapshots.getMany.bind(snapshots),
      hops: snapshots.hops.bind(snapshots),
      remember: snapshots.remember.bind(snapshots),
      forget: snapshots.forget.bind(snapshots),
      findByHash: async (...args: Parameters<StateSnapshotsStore['findByHash']>) => {
        const nid = await snapshots.findByHash(...args)
        return nid === undefined || unsound.has(nid) ? undefined : nid
      },
    }
    this.#builder = new SnapshotBuilder(db, sound, snapshotIds)
    this.#resolver = new StateResolver({ conflicts, interner, builder: this.#builder })
    this.#givenStates = new GivenStates({ lookup, interner, builder: this.#builder })
  }

  async run(): Promise<void> {
    this.#cases = await this.#readCases()
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      let progress = false
      for (const one of this.#cases) progress = (await this.#derive(one)) || progress
      progress = (await this.#lookBehind()) || progress
      if (!progress && !(await this.#askPresent())) return
    }
  }

  result(): Recovery {
    const { faults } = this.#given.survey
    const replaced = new Map([...this.#found].flatMap(([slot, { ref }]) => (slot > 0 ? [[slot, ref]] : [])))
    const linked = this.#cases.flatMap(({ event, before, after }) => {
      const [first, second] = [this.#found.get(before)?.ref.nid, this.#found.get(after)?.ref.nid]
      const states = { before: first ?? before, after: second ?? after }
      const isWhole = [states.before, states.after].every((nid) => nid > 0 && !faults.has(nid))
      return isWhole && (before < 0 || after < 0) ? { eventNid: event.eventNid, ...states } : []
    })
    const open = this.#cases.filter(({ before }) => !this.#isKnown(before))
    return {
      replaced,
      linked,
      origins: this.#origins(),
      wanted: [...new Set(open.flatMap(({ absent }) => absent))],
      rows: [...this.#rows.values()],
      resolve: (nids) => this.#resolve(nids),
      close: (outcome) => this.#builder[outcome]([...this.#rows.values()]),
    }
  }

  #origins(): Recovery['origins'] {
    const snapshots = new Map<number, StateOrigin>()
    for (const [slot, { origin }] of this.#found) if (slot > 0) snapshots.set(slot, origin)
    const events = new Map<number, StateOrigin>()
    for (const { event, before, after } of this.#cases) {
      const origins = [before, after].flatMap((slot) => (slot < 0 ? [this.#found.get(slot)?.origin] : []))
      if (origins.length > 0 && origins.every((origin) => origin !== undefined)) {
        events.set(event.eventNid, origins[0]!)
      }
    }
    return { snapshots, events }
  }

  async #readCases(): Promise<Case[]> {
    const { events } = this.#given.survey
    const cases = new Map<number, Case>()
    for (let start = 0; start < events.length; start += BATCH) {
      for (const one of await this.#readSome(events.slice(start, start + BATCH))) {
        cases.set(one.event.eventNid, one)
      }
    }
    const order = topologicalSort(
      cases.keys(),
      (nid) => cases.get(nid)!.prevs.map(({ eventNid }) => eventNid),
      (a, b) => cases.get(a)!.event.depth - cases.get(b)!.event.depth || a - b,
    )
    return order.map((nid) => cases.get(nid)!)
  }

  async #readSome(events: readonly StatelessEvent[]): Promise<Case[]> {
    const q = this.#db.reader
    const stored = await this.#parts.events.getByNids(
      q,
      events.map(({ eventNid }) => eventNid),
    )
    const prevIds = [...new Set([...stored.values()].flatMap(({ event }) => event.prevEventIds))]
    const places = await this.#parts.survey.listPlaces(q, prevIds)
    return events.flatMap((event) => {
      const own = stored.get(event.eventNid)?.event
      if (own === undefined) return []
      const placed = own.prevEventIds.filter((id) => typeof places.get(id)?.streamOrdering === 'number')
      const prevs = placed.map((id) => {
        const { eventNid, stateAfter } = places.get(id)!
        return { eventNid, after: stateAfter ?? afterSlot(eventNid) }
      })
      return {
        event,
        before: event.stateBefore ?? beforeSlot(event.eventNid),
        after: event.stateAfter ?? afterSlot(event.eventNid),
        prevs,
        absent: own.prevEventIds.filter((id) => !placed.includes(id)),
        key: own.stateKey === undefined ? undefined : stateKeyOf(own.type, own.stateKey),
      }
    })
  }

  /** Whether something new came of it. */
  async #derive(one: Case): Promise<boolean> {
    let progress = false
    if (!this.#isKnown(one.before)) {
      const before = await this.#before(one)
      if (before) progress = this.#keep(one.before, before)
    }
    if (!this.#isKnown(one.after)) {
      const before = await this.#stateOf(one.before)
      if (before) progress = this.#keep(one.after, await this.#after(one, before))
    }
    if (!this.#isKnown(one.before) && !one.event.changesState) {
      const after = await this.#stateOf(one.after)
      if (after) progress = this.#keep(one.before, after)
    }
    return progress
  }

  async #before({ prevs, absent }: Case): Promise<Found | undefined> {
    const { room, given, pending } = this.#given
    const branches: Found[] = []
    for (const { after } of prevs) {
      const known = await this.#stateOf(after)
      if (!known) return undefined
      branches.push(known)
    }
    for (const id of absent) {
      const ids = given.get(id)
      if (!ids) return undefined
      branches.push({ ref: await this.#build(ids), origin: 'servers' })
    }
    const nids = branches.map(({ ref }) => ref.nid)
    return {
      // Of none at all comes the state in which a room begins.
      ref: this.#noting(await this.#resolver.resolve(room, nids, pending)),
      origin: absent.length > 0 ? 'servers' : 'graph',
    }
  }

  async #build(ids: readonly EventId[]): Promise<SnapshotRef> {
    const { room } = this.#given
    const empty = this.#noting(await this.#builder.empty(room, { isNewRoom: false }))
    return this.#noting(await this.#givenStates.build({ ...detachedHead(room), state: empty }, ids))
  }

  async #after({ event, key }: Case, { ref, origin }: Found): Promise<Found> {
    if (!event.changesState || key === undefined) return { ref, origin }
    const keyNid = (await this.#parts.interner.intern([key])).get(key)
    if (keyNid === undefined) throw new Error(`The state key of ${event.eventId} has no nid`)
    const changes = new Map([[keyNid, event.eventNid]])
    return { ref: this.#noting(await this.#builder.build(this.#given.room, ref, changes)), origin }
  }

  /** The state after an event is also that before an event which follows it alone. */
  async #lookBehind(): Promise<boolean> {
    const open = this.#cases.filter(({ after }) => !this.#isKnown(after))
    let progress = false
    for (let start = 0; start < open.length; start += BATCH) {
      const some = new Map(open.slice(start, start + BATCH).map((one) => [one.event.eventNid, one]))
      const children = await this.#parts.survey.listStatesBeforeOnlyChildren(this.#db.reader, [
        ...some.keys(),
      ])
      for (const { eventNid, stateBefore } of children) {
        const one = some.get(eventNid)!
        const known = this.#isKnown(one.after) ? undefined : await this.#stateOf(stateBefore)
        if (known) progress = this.#keep(one.after, known)
      }
    }
    return progress
  }

  /** Where a room that we are in ends at one event, the state after that is what the flat tables say. */
  async #askPresent(): Promise<boolean> {
    const { room } = this.#given
    const { graph, members, currentState, interner } = this.#parts
    const q = this.#db.reader
    const ends = await graph.listForwardExtremities(q, room.roomNid)
    const [end] = ends
    if (end === undefined || ends.length > 1) return false
    const after = (end.stateAfter as number | null) ?? afterSlot(end.eventNid)
    if (this.#isKnown(after) || !(await members.hasLocalMember(q, room.roomNid))) return false
    const entries = await currentState.list(q, room.roomNid)
    const held = entries.map(({ eventNid }) => eventNid)
    const absent = await this.#parts.survey.listAbsent(q, room.roomNid, held)
    if (entries.length === 0 || absent.size > 0) return false
    const keys = await interner.intern(entries.map(({ type, stateKey }) => stateKeyOf(type, stateKey)))
    const present = StateSnapshot.from(
      entries.map(({ type, stateKey, eventNid }) => [keys.get(stateKeyOf(type, stateKey))!, eventNid]),
    )
    const empty = this.#noting(await this.#builder.empty(room, { isNewRoom: false }))
    const ref = await this.#builder.build(room, empty, new Map(present.entries()))
    return this.#keep(after, { ref: this.#noting(ref), origin: 'currentState' })
  }

  async #resolve(snapshotNids: readonly number[]): Promise<SnapshotRef | undefined> {
    const refs: number[] = []
    for (const nid of snapshotNids) {
      const known = await this.#stateOf(nid)
      if (!known) return undefined
      refs.push(known.ref.nid)
    }
    const { room, pending } = this.#given
    return refs.length === 0 ? undefined : this.#noting(await this.#resolver.resolve(room, refs, pending))
  }

  #isKnown(slot: Slot): boolean {
    return this.#found.has(slot) || (slot > 0 && !this.#given.survey.faults.has(slot))
  }

  async #stateOf(slot: Slot): Promise<Found | undefined> {
    const found = this.#found.get(slot)
    if (found !== undefined || !this.#isKnown(slot)) return found
    const [snapshot] = await this.#builder.load([slot])
    return { ref: { nid: slot, snapshot: snapshot!, rows: [] }, origin: 'graph' }
  }

  #keep(slot: Slot, found: Found): true {
    this.#found.set(slot, found)
    return true
  }

  #noting(ref: SnapshotRef): SnapshotRef {
    for (const row of ref.rows) this.#rows.set(row.snapshotNid, row)
    return ref
  }
}

function beforeSlot(eventNid: number): Slot {
  return -2 * eventNid
}

function afterSlot(eventNid: number): Slot {
  return -2 * eventNid - 1
}
