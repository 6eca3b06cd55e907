import { notFound } from '../../protocol/errors.js'
import type { EventId, RoomId } from '../../protocol/ids.js'
import type { ResolutionStep } from '../../protocol/resolution-step.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import type { Database, Query } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomExplanationStore } from '../../storage/stores/room-explanation.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import type { ConflictResolver } from '../events/conflict-resolver.js'
import { NOTHING_PENDING } from '../events/pending-events.js'
import {
  explainedEvent,
  explainedVerdict,
  type ExplainedEvent,
  type ExplainedVerdict,
} from './explained-events.js'

export interface StateExplanationsDependencies {
  readonly db: Database
  readonly rooms: RoomsStore
  readonly events: EventsStore
  readonly graph: EventGraphStore
  readonly currentState: CurrentStateStore
  readonly stateKeys: StateKeysStore
  readonly snapshots: StateSnapshotsStore
  readonly explanation: RoomExplanationStore
  readonly conflicts: Pick<ConflictResolver, 'resolve'>
}

/** Names one piece of state. */
export interface StateName {
  readonly type: string
  readonly stateKey: string
}

/** One event that was tried where branches meet, in the order of the trials: what comes later and is allowed wins. */
export interface ExplainedStep {
  readonly pass: ResolutionStep['pass']
  readonly event: ExplainedEvent
  readonly verdict: ExplainedVerdict
}

/** How a piece of state came out where branches of the graph meet. */
export interface ExplainedMerge {
  /** The event that joins the branches; undefined: nothing does yet, they are the ends of the room. */
  readonly at: EventId | undefined
  readonly algorithm: 'v1' | 'v2' | 'v2.1'
  /** The last event of each branch, and what holds the piece of state after it. */
  readonly branches: readonly { readonly end: EventId; readonly holds: EventId | undefined }[]
  /** Branches whose last event is not held: what other servers said of the state there is not kept. */
  readonly unknownBranches: number
  readonly steps: readonly ExplainedStep[]
  readonly winner: EventId | undefined
}

/** What became of an event that was sent for a piece of state. */
export interface Candidate {
  readonly event: ExplainedEvent
  /**
   * `replaced`: by an event that came after it; `lost`: against another, where branches met; `unknown`: too far back to
   * be followed.
   */
  readonly fate: 'holds' | 'replaced' | 'lost' | 'rejected' | 'softFailed' | 'outlier' | 'unknown'
  readonly replacedBy: EventId | undefined
  readonly merge: ExplainedMerge | undefined
}

export interface StateExplanation extends StateName {
  readonly roomId: RoomId
  /** What holds it now. */
  readonly holder: ExplainedEvent | undefined
  /** Where the ends of the room disagree about it. */
  readonly merge: ExplainedMerge | undefined
  /** The newest first. */
  readonly candidates: readonly Candidate[]
}

/** The room and the piece of state that an explanation is about. */
interface Subject {
  readonly room: RoomRecord
  readonly name: StateName
  /** Undefined where no event was ever in a state under this name. */
  readonly keyNid: number | undefined
}

/** The newest of all that were sent for it. */
const MAX_CANDIDATES = 20
/** Events that are looked at to find what became of one. */
const MAX_WALK = 2_000
const MAX_STEPS = 100

/**
 * Says of a piece of a room's state why it is what it is: which events there were for it, which of them lost against
 * which, where and by which rule. The algorithm is the one that decided. Only reads.
 * https://spec.matrix.org/latest/rooms/v12/#state-resolution
 */
export class StateExplanations {
  readonly #deps: StateExplanationsDependencies

  constructor(deps: StateExplanationsDependencies) {
    this.#deps = deps
  }

  /** Throws `M_NOT_FOUND` for a room that this server knows nothing of. */
  async explain(roomId: RoomId, name: StateName): Promise<StateExplanation> {
    const { db, rooms, stateKeys, currentState, explanation, events } = this.#deps
    const q = db.reader
    const room = await rooms.get(q, roomId)
    if (room === undefined) throw notFound(`There is no room ${roomId}`)
    const key = stateKeyOf(name.type, name.stateKey)
    const subject = { room, name, keyNid: (await stateKeys.find(q, [key])).get(key) }
    const heldNid = await currentState.get(q, room.roomNid, name.type, name.stateKey)
    const nids = await explanation.listCandidates(q, room.roomNid, name, MAX_CANDIDATES)
    const found = await events.getByNids(q, heldNid === undefined ? nids : [...nids, heldNid])
    const holder = heldNid === undefined ? undefined : found.get(heldNid)
    const merge = await this.#mergeOfEnds(q, subject)
    const candidates: Candidate[] = []
    for (const stored of nids.flatMap((nid) => found.get(nid) ?? [])) {
      candidates.push(await this.#candidate(q, subject, { stored, heldNid, merge }))
    }
    return { roomId, ...name, holder: holder && explainedEvent(holder), merge, candidates }
  }

  async #candidate(
    q: Query,
    subject: Subject,
    {
      stored,
      heldNid,
      merge,
    }: { stored: StoredEvent; heldNid: number | undefined; merge: ExplainedMerge | undefined },
  ): Promise<Candidate> {
    const event = explainedEvent(stored)
    const plain = { event, replacedBy: undefined, merge: undefined }
    if (stored.eventNid === heldNid) return { ...plain, fate: 'holds' }
    if (event.status !== 'accepted') return { ...plain, fate: event.status }
    const next = await this.#follow(q, subject, stored)
    if (next !== undefined) {
      const isSuccessor =
        next.event.type === subject.name.type && next.event.stateKey === subject.name.stateKey
      if (isSuccessor && (await this.#holdsBefore(q, subject, stored, [next])).has(next.eventNid)) {
        return { ...plain, fate: 'replaced', replacedBy: next.event.eventId }
      }
      return { ...plain, fate: 'lost', merge: await this.#mergeAt(q, subject, next) }
    }
    const isAtEnd = merge?.branches.some(({ holds }) => holds === event.eventId) === true
    return isAtEnd ? { ...plain, fate: 'lost', merge } : { ...plain, fate: 'unknown' }
  }

  /** The first event after one before or after which it does not hold its place any more. */
  async #follow(q: Query, subject: Subject, from: StoredEvent): Promise<StoredEvent | undefined> {
    const { explanation, events } = this.#deps
    const seen = new Set<number>()
    let layer = [from.eventNid]
    while (layer.length > 0 && seen.size < MAX_WALK) {
      const nids = await explanation.listFollowers(q, layer, MAX_WALK)
      const fresh = nids.filter((nid) => !seen.has(nid))
      const found = await events.getByNids(q, fresh)
      const followers = fresh.flatMap((nid) => found.get(nid) ?? [])
      const holding = await this.#holdsBefore(q, subject, from, followers)
      const end = followers.find(
        ({ eventNid, event, softFailed }) =>
          !holding.has(eventNid) ||
          (!softFailed && event.type === subject.name.type && event.stateKey === subject.name.stateKey),
      )
      if (end !== undefined) return end
      for (const nid of fresh) seen.add(nid)
      layer = fresh
    }
    return undefined
  }

  /** Before which of these events one holds its place. */
  async #holdsBefore(
    q: Query,
    { keyNid }: Subject,
    { eventNid }: StoredEvent,
    events: readonly StoredEvent[],
  ): Promise<Set<number>> {
    if (keyNid === undefined) return new Set()
    const states = events.flatMap(({ stateBefore }) => stateBefore ?? [])
    const entries = await this.#deps.snapshots.lookUp(q, new Map(states.map((nid) => [nid, [keyNid]])))
    return new Set(
      events.flatMap((event) =>
        event.stateBefore !== null && entries.get(event.stateBefore)?.get(keyNid) === eventNid
          ? [event.eventNid]
          : [],
      ),
    )
  }

  /** Undefined where there is one end, or all agree. */
  async #mergeOfEnds(q: Query, subject: Subject): Promise<ExplainedMerge | undefined> {
    const ends = await this.#deps.graph.listForwardExtremities(q, subject.room.roomNid)
    const merge = await this.#merge(q, subject, {
      at: undefined,
      ends: ends.map(({ eventId, stateAfter }) => ({ eventId, stateAfter })),
      unknownBranches: 0,
    })
    const holders = new Set(merge.branches.map(({ holds }) => holds))
    return holders.size > 1 ? merge : undefined
  }

  async #mergeAt(q: Query, subject: Subject, { event }: StoredEvent): Promise<ExplainedMerge> {
    const previous = await this.#deps.events.getByIds(q, event.prevEventIds)
    const ends = [...previous.values()].flatMap(({ event: { eventId }, stateAfter }) =>
      stateAfter === null ? [] : [{ eventId, stateAfter }],
    )
    const unknownBranches = event.prevEventIds.length - ends.length
    return this.#merge(q, subject, { at: event.eventId, ends, unknownBranches })
  }

  async #merge(
    q: Query,
    { room, keyNid, name }: Subject,
    {
      at,
      ends,
      unknownBranches,
    }: {
      at: EventId | undefined
      ends: readonly { eventId: EventId; stateAfter: number }[]
      unknownBranches: number
    },
  ): Promise<ExplainedMerge> {
    const { snapshots, conflicts, events } = this.#deps
    const nids = [...new Set(ends.map(({ stateAfter }) => stateAfter))].sort((a, b) => a - b)
    const states = await snapshots.getMany(q, nids)
    const distinct = nids.flatMap((nid) => states.get(nid) ?? [])
    const holders = ends.map(({ stateAfter }) =>
      keyNid === undefined ? undefined : states.get(stateAfter)?.get(keyNid),
    )
    const held = await events.getByNids(
      q,
      holders.flatMap((nid) => nid ?? []),
    )
    const idOf = (nid: number | undefined): EventId | undefined => held.get(nid ?? 0)?.event.eventId
    const steps: ResolutionStep[] = []
    const resolution =
      distinct.length < 2
        ? undefined
        : await conflicts.resolve({
            room,
            snapshots: distinct,
            pending: NOTHING_PENDING,
            onStep: (step) => steps.push(step),
          })
    const isDisputed = new Set(holders).size > 1
    const stored = resolution?.events ?? new Map<EventId, StoredEvent>()
    return {
      at,
      algorithm: room.rules.stateResolution,
      branches: ends.map(({ eventId }, index) => ({ end: eventId, holds: idOf(holders[index]) })),
      unknownBranches,
      steps: steps.slice(0, MAX_STEPS).flatMap((step) => explainedStep(step, stored)),
      winner: isDisputed ? resolution?.resolved.get(stateKeyOf(name.type, name.stateKey)) : idOf(holders[0]),
    }
  }
}

function explainedStep(
  { pass, event, verdict }: ResolutionStep,
  stored: ReadonlyMap<EventId, StoredEvent>,
): ExplainedStep[] {
  const known = stored.get(event.eventId)
  return known ? [{ pass, event: explainedEvent(known), verdict: explainedVerdict(verdict) }] : []
}
