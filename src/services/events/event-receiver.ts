import type { EventGraphStore, ForwardExtremity } from '../../storage/stores/event-graph.js'
import type { EventWrite } from '../../storage/stores/event-writer.js'
import type { MissingEvent, MissingEventsStore } from '../../storage/stores/missing-events.js'
import type { Database, Tx } from '../../storage/database.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import type { Event } from '../../protocol/event.js'
import type { EventId } from '../../protocol/ids.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import type { Clock } from '../../util/clock.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import { asAuthState, type EventAssembler } from './event-assembler.js'
import { relationOf } from './event-composer.js'
import type { EarlyRedactions } from './early-redactions.js'
import type { EventJudge, Judgement } from './event-judge.js'
import type { EventPersister } from './event-persister.js'
import type { GivenStates } from './given-states.js'
import { toPending, type EventLookup } from './pending-events.js'
import type { AheadReader, ReadAhead } from './read-ahead.js'
import { mayNotifyRoom, type PushActions } from './push-actions.js'
import { redactionTarget, type RedactionRules } from './redaction-rules.js'
import { detachedHead, type RoomHead, type RoomHeads } from './room-heads.js'
import { isMissing, settle, type Decision, type Reception } from './reception.js'
import type { SnapshotBuilder, SnapshotRef } from './snapshot-builder.js'
import type { StateChangeDescriber } from './state-changes.js'
import type { StateKeyInterner } from './state-key-interner.js'
import type { StateResolver } from './state-resolver.js'

/** One of several events. */
export interface OfferedEvent {
  readonly event: Event
  /** The room's policy server does not want it. */
  readonly isUnwanted: boolean
}

export interface ReceiveOptions {
  /** The room's policy server does not want the event: it fails softly, if not worse. */
  readonly isUnwanted?: boolean
  /** `backfilled`: of the past; leads the room nowhere and wakes nobody. `live` by default. */
  readonly kind?: 'live' | 'backfilled'
  /**
   * What another server says of the state after previous events that are not held: state events, which are held, as
   * outliers at least.
   */
  readonly statesAfterMissing?: ReadonlyMap<EventId, readonly EventId[]>
  /** Further rows of the same transaction, with the event's nid; for accepted events only. May run more than once. */
  readonly inTransaction?: (tx: Tx, eventNid: number) => Promise<void>
}

interface Parts {
  readonly graph: EventGraphStore
  readonly missingEvents: MissingEventsStore
  readonly aheadReader: AheadReader
  readonly givenStates: GivenStates
  readonly judge: EventJudge
  readonly lookup: EventLookup
  readonly assembler: EventAssembler
  readonly interner: StateKeyInterner
  readonly builder: SnapshotBuilder
  readonly resolver: StateResolver
  readonly changes: StateChangeDescriber
  readonly pushActions: PushActions
  readonly redactions: RedactionRules
  readonly earlyRedactions: EarlyRedactions
  readonly persister: EventPersister
  readonly heads: RoomHeads
  readonly locks: KeyedMutex
  readonly eventIds: IdAllocator
  readonly clock: Clock
}

/** An event from elsewhere with all that it refers to. */
interface Received {
  readonly event: Event
  /** As an outlier. */
  readonly known: StoredEvent | undefined
  /** It is known, but has no place in the auth chains. */
  readonly isPlaceless: boolean
  /** What others call it that follow it and came before it. */
  readonly gapNid: number | undefined
  readonly prevEvents: readonly StoredEvent[]
  /** Those that have no place in the timeline. */
  readonly missingPrevs: readonly MissingEvent[]
  readonly given: readonly SnapshotRef[]
  readonly authEvents: readonly StoredEvent[]
  readonly isUnwanted: boolean
  readonly isBeginning: boolean
  readonly isHistory: boolean
  readonly ahead: ReadAhead | undefined
  readonly inTransaction: ReceiveOptions['inTransaction']
}

/** `ahead`: what was read for several events at once; then their previous events are all held, or nothing is stored. */
type FindOptions = ReceiveOptions & { readonly ahead?: ReadAhead }

/** What is written of an event, and where it leads the room. */
interface Composed {
  readonly write: EventWrite
  readonly to: Pick<RoomHead, 'extremities' | 'state'>
  readonly judgement: Judgement
}

/**
 * Takes in events that were made elsewhere, whose format, hashes and signatures have been checked: branches, rejected
 * and soft-failed events.
 * https://spec.matrix.org/latest/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
export class EventReceiver {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Judges and stores one event of a room that we are in. Nothing is stored while events are missing. */
  async receive(room: RoomRecord, event: Event, options: ReceiveOptions = {}): Promise<Reception> {
    return this.#parts.locks.run(String(room.roomNid), () => this.#decide(room, event, options)).then(settle)
  }

  /**
   * As `receive` for several events, each after those of them that it follows, in as few commits as possible. Ends with
   * the first for which something is missing: those after it have no reception.
   */
  async receiveAll(
    room: RoomRecord,
    offered: readonly OfferedEvent[],
    kind: NonNullable<ReceiveOptions['kind']>,
  ): Promise<Reception[]> {
    const decisions = await this.#parts.locks.run(String(room.roomNid), async () => {
      const events = offered.map(({ event }) => event)
      const ahead = await this.#parts.aheadReader.read(events, this.#parts.heads.pendingOf(room))
      if (kind === 'backfilled') return this.#decideHistory(room, offered, ahead)
      const decided: Decision[] = []
      for (const { event, isUnwanted } of offered) {
        const decision = await this.#decide(room, event, { kind, isUnwanted, ahead })
        decided.push(decision)
        if (isMissing(decision)) break
      }
      return decided
    })
    return Promise.all(decisions.map(settle))
  }

  async #decide(room: RoomRecord, event: Event, options: FindOptions): Promise<Decision> {
    const head = await this.#parts.heads.get(room)
    const found = await this.#find(head, event, options)
    if ('outcome' in found) return { reception: found }
    const composed = await this.#compose(head, found)
    const stored = this.#persist(head, found, composed)
    // What is no part of the head can only be found once it is committed.
    if (found.isHistory || found.missingPrevs.length > 0) await stored
    return { stored: stored.then(([first]) => first!), judgement: composed.judgement }
  }

  /** Decides about events of the past one by one, and writes them all at once. */
  async #decideHistory(
    room: RoomRecord,
    offered: readonly OfferedEvent[],
    readAhead: ReadAhead,
  ): Promise<Decision[]> {
    const { heads, persister } = this.#parts
    const head = await heads.get(room)
    // Each finds those before it among what waits for its commit.
    const ahead: RoomHead = { ...head, pending: new Map(head.pending) }
    const decided: ({ readonly reception: Reception } | Composed)[] = []
    const writes: EventWrite[] = []
    for (const { event, isUnwanted } of offered) {
      const found = await this.#find(ahead, event, { kind: 'backfilled', isUnwanted, ahead: readAhead })
      if ('outcome' in found) {
        decided.push({ reception: found })
        if (found.outcome === 'missing') break
        continue
      }
      const composed = await this.#compose(ahead, found)
      decided.push(composed)
      writes.push(composed.write)
      ahead.pending.set(composed.write.eventNid, toPending(composed.write))
    }
    const stored = writes.length === 0 ? [] : await persister.persist({ head: detachedHead(room), writes })
    const byNid = new Map(stored.map((event) => [event.eventNid, event]))
    return decided.map((decision) =>
      'write' in decision
        ? { stored: Promise.resolve(byNid.get(decision.write.eventNid)!), judgement: decision.judgement }
        : decision,
    )
  }

  #persist(
    head: RoomHead,
    { isHistory, inTransaction }: Received,
    { write, to, judgement }: Composed,
  ): Promise<readonly StoredEvent[]> {
    const isAccepted = judgement.rejected === null && !judgement.softFailed
    const alongside = inTransaction &&
      isAccepted && { inTransaction: (tx: Tx) => inTransaction(tx, write.eventNid) }
    if (isHistory) {
      return this.#parts.persister.persist({ head: detachedHead(head.room), writes: [write], ...alongside })
    }
    this.#parts.heads.advance(head, to, [[write.eventNid, toPending(write)]])
    const stored = this.#parts.persister.persist({ head, writes: [write], ...alongside })
    // The lock must not wait for the commit; whoever awaits it gets the failure.
    stored.catch(() => undefined)
    return stored
  }

  /** What the event refers to, or why it cannot be judged now or need not be. */
  async #find(head: RoomHead, event: Event, options: FindOptions): Promise<Received | Reception> {
    const { kind = 'live', isUnwanted = false, statesAfterMissing, ahead } = options
    const references = [event.eventId, ...event.prevEventIds, ...event.authEventIds]
    const held = await this.#parts.lookup.byIds(references, head.pending, ahead?.absent)
    ahead?.forget(event.eventId)
    const placeless = await this.#parts.lookup.takePlaceless(held, head.pending)
    const known = held.get(event.eventId) ?? placeless.get(event.eventId)
    if (known && known.stateBefore !== null) return { outcome: 'known', stored: known }
    const withoutState = event.prevEventIds.filter((id) => typeof held.get(id)?.stateAfter !== 'number')
    const prevEvents = withoutState.filter((id) => !statesAfterMissing?.has(id))
    const authEvents = event.authEventIds.filter((id) => !held.has(id))
    if (prevEvents.length + authEvents.length > 0) return { outcome: 'missing', prevEvents, authEvents }
    const all = (ids: readonly EventId[]): StoredEvent[] => ids.flatMap((id) => held.get(id) ?? [])
    const isBeginning = await this.#isBeginning(head, event)
    const gaps = [event.eventId, ...withoutState]
    const gapNids = ahead?.gapNids ?? (await this.#parts.missingEvents.getNids(this.#db.reader, gaps))
    return {
      event,
      known,
      isPlaceless: placeless.has(event.eventId),
      gapNid: gapNids.get(event.eventId),
      prevEvents: all(event.prevEventIds.filter((id) => !withoutState.includes(id))),
      missingPrevs: await this.#nameMissing(withoutState, new Map([...held, ...placeless]), gapNids),
      given: await this.#givenStates(head, withoutState, statesAfterMissing),
      authEvents: all(event.authEventIds),
      isUnwanted,
      isBeginning,
      isHistory: kind === 'backfilled' || isBeginning,
      ahead,
      inTransaction: options.inTransaction,
    }
  }

  /** Whether it is the create event of the room, which we may have had as an outlier only. */
  async #isBeginning({ state, pending }: RoomHead, event: Event): Promise<boolean> {
    if (event.type !== 'm.room.create') return false
    const key = stateKeyOf('m.room.create', '')
    const create = await this.#parts.assembler.lookUp({ snapshot: state.snapshot, pending }, [key])
    return create.get(key)?.event.eventId === event.eventId
  }

  /** Events that are not held have nids too, which will be theirs when they come. */
  async #nameMissing(
    ids: readonly EventId[],
    held: ReadonlyMap<EventId, StoredEvent>,
    gapNids: ReadonlyMap<EventId, number>,
  ): Promise<MissingEvent[]> {
    const missing: MissingEvent[] = []
    for (const eventId of ids) {
      const nid = held.get(eventId)?.eventNid ?? gapNids.get(eventId) ?? (await this.#parts.eventIds.next())
      missing.push({ eventId, eventNid: nid })
    }
    return missing
  }

  async #givenStates(
    head: RoomHead,
    missing: readonly EventId[],
    states: ReceiveOptions['statesAfterMissing'],
  ): Promise<SnapshotRef[]> {
    const given: SnapshotRef[] = []
    for (const id of missing) given.push(await this.#parts.givenStates.build(head, states?.get(id) ?? []))
    return given
  }

  /** Decides everything that is written of the event, and where it leads the room. Writes nothing. */
  async #compose(head: RoomHead, received: Received): Promise<Composed> {
    const judged = await this.#parts.judge.judge(head, received)
    // What was accepted as part of a state is not lost to that state by what somebody says of the time before it.
    const isAccepted = received.isHistory && received.known?.rejected === null
    const rejected = isAccepted ? null : judged.rejected
    const softFailed = judged.softFailed || (received.isUnwanted && rejected === null)
    const judgement = { ...judged, rejected, softFailed }
    const own = await this.#describe(head, received, judgement)
    const to = received.isHistory ? head : await this.#advanced(head, own)
    const pending = new Map(head.pending).set(own.eventNid, toPending(own))
    const stateChanges = await this.#parts.changes.describe(head.state.snapshot, to.state.snapshot, pending)
    const snapshots = received.isHistory ? own.snapshots : [...own.snapshots, ...to.state.rows]
    return { write: { ...own, snapshots, stateChanges }, to, judgement }
  }

  /** All that is written of the event but what it changes in the room. */
  async #describe(
    head: RoomHead,
    received: Received,
    judgement: Judgement,
  ): Promise<Omit<EventWrite, 'stateChanges'>> {
    const { event, known, gapNid, prevEvents, missingPrevs, authEvents, isHistory } = received
    const { room } = head
    const { before, rejected, softFailed } = judgement
    const eventNid = known?.eventNid ?? gapNid ?? (await this.#parts.eventIds.next())
    const isAccepted = rejected === null && !softFailed
    const after =
      rejected === null ? await this.#stateAfter(room, before, { event, eventNid }) : { ...before, rows: [] }
    const prevNids = prevEvents.map((prev) => prev.eventNid)
    const joinsGraph = isAccepted && !isHistory
    const push = joinsGraph
      ? await this.#parts.pushActions.judge(room, event, {
          mayNotifyRoom: () => mayNotifyRoom(room.rules, event, asAuthState(judgement.state)),
        })
      : { notifies: false, highlights: [], exceptions: [] }
    return {
      event,
      eventNid,
      room,
      receivedTs: this.#parts.clock.now(),
      kind: isHistory ? 'backfilled' : 'live',
      wasOutlier: known !== undefined,
      prevNids: [...prevNids, ...missingPrevs.map((missing) => missing.eventNid)],
      missingPrevs,
      closesGap: gapNid !== undefined,
      stateBefore: before.nid,
      stateAfter: after.nid,
      snapshots: [...received.given.flatMap(({ rows }) => rows), ...before.rows, ...after.rows],
      rejected,
      softFailed,
      isUnwanted: received.isUnwanted,
      // An outlier has its place already.
      authPosition:
        event.isState() && (!known || received.isPlaceless)
          ? await this.#parts.assembler.authPosition(event, authEvents, head.pending)
          : undefined,
      extremities: {
        becomesOne: joinsGraph && !(await this.#isFollowed(gapNid)),
        removed: joinsGraph
          ? head.extremities.flatMap(({ eventNid: nid }) => (prevNids.includes(nid) ? nid : []))
          : [],
      },
      relation: relationOf(event),
      notifies: push.notifies,
      highlights: push.highlights,
      pushExceptions: push.exceptions,
      txn: undefined,
      redaction: isAccepted ? await this.#redaction(head, event, judgement) : undefined,
      redactedBy: await this.#parts.earlyRedactions.find(event, head.pending, received.ahead),
    }
  }

  /** Whether an event that came before it follows it, and counts. */
  async #isFollowed(gapNid: number | undefined): Promise<boolean> {
    if (gapNid === undefined) return false
    return (await this.#parts.graph.listReferenced(this.#db.reader, [gapNid])).has(gapNid)
  }

  /** The end of the graph with the event. */
  async #advanced(
    head: RoomHead,
    own: Omit<EventWrite, 'stateChanges'>,
  ): Promise<Pick<RoomHead, 'extremities' | 'state'>> {
    const { becomesOne, removed } = own.extremities
    if (!becomesOne && removed.length === 0) return head
    const extremity: ForwardExtremity = {
      eventNid: own.eventNid,
      eventId: own.event.eventId,
      depth: own.event.depth,
      stateAfter: own.stateAfter!,
    }
    const others = head.extremities.filter(({ eventNid }) => !removed.includes(eventNid))
    const ends = becomesOne ? [extremity, ...others] : others
    const extremities = ends.sort((a, b) => b.depth - a.depth)
    const pending = new Map(head.pending).set(own.eventNid, toPending(own))
    const state = await this.#parts.resolver.resolve(
      head.room,
      extremities.map(({ stateAfter }) => stateAfter),
      pending,
    )
    return { extremities, state }
  }

  async #stateAfter(
    room: RoomRecord,
    before: SnapshotRef,
    { event, eventNid }: { event: Event; eventNid: number },
  ): Promise<SnapshotRef> {
    if (event.stateKey === undefined) return { ...before, rows: [] }
    const key = stateKeyOf(event.type, event.stateKey)
    const keyNid = (await this.#parts.interner.intern([key])).get(key)
    if (keyNid === undefined) throw new Error(`The state key of ${event.eventId} has no nid`)
    return this.#parts.builder.build(room, before, new Map([[keyNid, eventNid]]))
  }

  async #redaction(head: RoomHead, event: Event, { state }: Judgement): Promise<EventWrite['redaction']> {
    const targetId = redactionTarget(event)
    if (targetId === undefined) return undefined
    const target = (await this.#parts.lookup.byIds([targetId], head.pending)).get(targetId)
    return this.#parts.redactions.judgeRemote(target, event, state)
  }
}
