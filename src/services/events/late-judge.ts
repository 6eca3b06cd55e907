import type { ForwardExtremity } from '../../storage/stores/event-graph.js'
import type { EventStates } from '../../storage/stores/event-states.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { SnapshotRow } from '../../storage/stores/state-snapshots.js'
import { authStateKeys } from '../../protocol/auth-events.js'
import { checkEventAuth } from '../../protocol/event-auth.js'
import type { EventId } from '../../protocol/ids.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import { asAuthState, type EventAssembler } from './event-assembler.js'
import { judgeByAuthEvents } from './event-judge.js'
import { NOTHING_PENDING, type EventLookup } from './pending-events.js'
import type { SnapshotBuilder, SnapshotRef } from './snapshot-builder.js'
import type { StateKeyInterner } from './state-key-interner.js'
import type { StateResolver } from './state-resolver.js'

interface Parts {
  readonly lookup: EventLookup
  readonly assembler: EventAssembler
  readonly resolver: StateResolver
  readonly builder: SnapshotBuilder
  readonly interner: StateKeyInterner
}

/** What is to be judged anew. */
export interface LateCase {
  readonly room: RoomRecord
  /** The event by which this server came in. */
  readonly join: StoredEvent
  /** The state before it, of which only a part was known. */
  readonly whole: SnapshotRef
  /** The join and what has come since, in order. */
  readonly events: readonly StoredEvent[]
  /** Where the graph ends. */
  readonly ends: readonly ForwardExtremity[]
  /** What another server has said of a state since, made whole. */
  readonly complete: (snapshotNid: number) => Promise<SnapshotRef>
}

export interface LateJudgement {
  /** The states around all of the events. */
  readonly states: readonly EventStates[]
  /** Events of which the verdict is another now. */
  readonly verdicts: ReadonlyMap<number, string | null>
  /** Ends that are none now, and events that are one. */
  readonly ends: { readonly removed: readonly number[]; readonly added: readonly number[] }
  /** The current state. */
  readonly current: SnapshotRef
  /** What is to be written before the states may be used. */
  readonly rows: readonly SnapshotRow[]
}

/**
 * Judges events anew that were judged by a state which was not whole: what was let pass may have to be rejected, and the
 * other way round, and the states after each follow from that.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/3902
 */
export class LateJudge {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Writes nothing. Callers hold the room's lock, and nothing waits for its commit. */
  async judge(given: LateCase): Promise<LateJudgement> {
    const { room, events, ends, complete } = given
    const trial = new Trial(events)
    const authIds = [...new Set(events.flatMap(({ event }) => event.authEventIds))]
    const authEvents = await this.#parts.lookup.byIds(authIds, NOTHING_PENDING)
    for (const stored of events) {
      const before = await this.#before(given, trial, stored)
      const verdict = await this.#verdict(trial, stored, { before, authEvents })
      const after = verdict === null ? await this.#after(room, before, stored) : before
      trial.close(stored, { before, after, verdict })
    }
    const moved = trial.moveEnds(ends)
    const refs: SnapshotRef[] = []
    for (const nid of moved.all) refs.push(trial.after(nid) ?? (await complete(stateOf(nid, ends))))
    const nids = refs.map((ref) => ref.nid)
    const current = await this.#parts.resolver.resolve(room, nids)
    return {
      states: trial.states(),
      verdicts: trial.changedVerdicts(),
      ends: moved,
      current,
      rows: [...trial.rows(), ...refs.flatMap(({ rows }) => rows), ...current.rows],
    }
  }

  async #before(
    { room, join, whole, complete }: LateCase,
    trial: Trial,
    own: StoredEvent,
  ): Promise<SnapshotRef> {
    if (own.eventNid === join.eventNid) return whole
    const branches = trial.branches(own)
    // What came before it is not held, or is older than the join: another server has told the state there.
    if (branches === undefined) return complete(own.stateBefore!)
    return branches.length === 1
      ? branches[0]!
      : this.#parts.resolver.resolve(
          room,
          branches.map(({ nid }) => nid),
        )
  }

  /** Why the event is rejected, or null. */
  async #verdict(
    trial: Trial,
    { event, rejected }: StoredEvent,
    { before, authEvents }: { before: SnapshotRef; authEvents: ReadonlyMap<EventId, StoredEvent> },
  ): Promise<string | null> {
    // By what no state changes.
    if (rejected !== null && (event.type === 'm.room.create' || !trial.knowsBefore(event.prevEventIds))) {
      return rejected
    }
    const keys = authStateKeys(event.rules, event).map(([type, stateKey]) => stateKeyOf(type, stateKey))
    const point = { snapshot: before.snapshot, pending: NOTHING_PENDING }
    const state = await this.#parts.assembler.lookUp(point, keys)
    const listed = event.authEventIds.flatMap((id) => trial.asJudged(authEvents.get(id)) ?? [])
    const byAuthEvents = judgeByAuthEvents(event, listed, state)
    const verdict = byAuthEvents.allowed
      ? checkEventAuth(event.rules, event, asAuthState(state))
      : byAuthEvents
    return verdict.allowed ? null : `${verdict.rule}: ${verdict.reason}`
  }

  async #after(
    room: RoomRecord,
    before: SnapshotRef,
    { event, eventNid }: StoredEvent,
  ): Promise<SnapshotRef> {
    if (event.stateKey === undefined) return before
    const key = stateKeyOf(event.type, event.stateKey)
    const keyNid = (await this.#parts.interner.intern([key])).get(key)
    if (keyNid === undefined) throw new Error(`The state key of ${event.eventId} has no nid`)
    return this.#parts.builder.build(room, before, new Map([[keyNid, eventNid]]))
  }
}

interface Outcome {
  readonly before: SnapshotRef
  readonly after: SnapshotRef
  readonly verdict: string | null
}

/** What has been found out about the events so far. */
class Trial {
  readonly #events: readonly StoredEvent[]
  readonly #byId: ReadonlyMap<EventId, StoredEvent>
  readonly #outcomes = new Map<number, Outcome>()

  constructor(events: readonly StoredEvent[]) {
    this.#events = events
    this.#byId = new Map(events.map((stored) => [stored.event.eventId, stored]))
  }

  close({ eventNid }: StoredEvent, outcome: Outcome): void {
    this.#outcomes.set(eventNid, outcome)
  }

  after(eventNid: number): SnapshotRef | undefined {
    return this.#outcomes.get(eventNid)?.after
  }

  knowsBefore(prevEventIds: readonly EventId[]): boolean {
    return prevEventIds.length > 0 && prevEventIds.every((id) => this.#outcomeOf(id) !== undefined)
  }

  /** The distinct states after the events before an event; undefined where they are not all of these. */
  branches({ event }: StoredEvent): SnapshotRef[] | undefined {
    if (!this.knowsBefore(event.prevEventIds)) return undefined
    const refs = event.prevEventIds.flatMap((id) => this.#outcomeOf(id)?.after ?? [])
    return [...new Map(refs.map((ref) => [ref.nid, ref])).values()]
  }

  /** An event with the verdict that it has now. */
  asJudged(stored: StoredEvent | undefined): StoredEvent | undefined {
    const outcome = stored && this.#outcomes.get(stored.eventNid)
    return outcome ? { ...stored, rejected: outcome.verdict } : stored
  }

  states(): EventStates[] {
    return [...this.#outcomes].map(([eventNid, { before, after }]) => ({
      eventNid,
      before: before.nid,
      after: after.nid,
    }))
  }

  rows(): SnapshotRow[] {
    return [...this.#outcomes.values()].flatMap(({ before, after }) => [...before.rows, ...after.rows])
  }

  changedVerdicts(): Map<number, string | null> {
    const changed = this.#events.filter(({ eventNid, rejected }) => {
      const verdict = this.#outcomes.get(eventNid)?.verdict ?? null
      return (verdict === null) !== (rejected === null)
    })
    return new Map(changed.map(({ eventNid }) => [eventNid, this.#outcomes.get(eventNid)!.verdict]))
  }

  /** Where the graph ends now that some events count which did not, and others do not any more. */
  moveEnds(ends: readonly ForwardExtremity[]): { removed: number[]; added: number[]; all: number[] } {
    const changed = this.changedVerdicts()
    const followed = this.#followed()
    const isEnd = (stored: StoredEvent): boolean =>
      this.#counts(stored) && !followed.has(stored.event.eventId)
    const removed = ends.filter(
      ({ eventNid, eventId }) => typeof changed.get(eventNid) === 'string' || followed.has(eventId),
    )
    // With one that counts no more, what came before it may be an end again.
    const open = this.#events.filter(({ eventNid }) => changed.has(eventNid))
    const added = new Set<number>()
    for (let stored = open.pop(); stored !== undefined; stored = open.pop()) {
      if (isEnd(stored)) added.add(stored.eventNid)
      else if (!this.#counts(stored))
        open.push(...stored.event.prevEventIds.flatMap((id) => this.#byId.get(id) ?? []))
    }
    const gone = new Set(removed.map(({ eventNid }) => eventNid))
    const staying = ends.map(({ eventNid }) => eventNid).filter((nid) => !gone.has(nid))
    const all = [...new Set([...staying, ...added])]
    // Whatever was found: a room ends somewhere.
    if (all.length === 0) return { removed: [], added: [], all: ends.map(({ eventNid }) => eventNid) }
    return { removed: [...gone], added: [...added], all }
  }

  /** What has events after it that count, whatever comes between. */
  #followed(): Set<EventId> {
    const followed = new Set<EventId>()
    const open = this.#events.filter((stored) => this.#counts(stored))
    for (let stored = open.pop(); stored !== undefined; stored = open.pop()) {
      for (const id of stored.event.prevEventIds) {
        const before = this.#byId.get(id)
        if (before && !followed.has(id) && !this.#counts(before)) open.push(before)
        followed.add(id)
      }
    }
    return followed
  }

  #counts({ eventNid, softFailed }: StoredEvent): boolean {
    return !softFailed && this.#outcomes.get(eventNid)?.verdict === null
  }

  #outcomeOf(id: EventId): Outcome | undefined {
    const stored = this.#byId.get(id)
    return stored && this.#outcomes.get(stored.eventNid)
  }
}

function stateOf(eventNid: number, ends: readonly ForwardExtremity[]): number {
  const end = ends.find((other) => other.eventNid === eventNid)
  if (end === undefined) throw new Error(`The state after ${eventNid} is not known`)
  return end.stateAfter
}
