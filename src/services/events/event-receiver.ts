import type { ForwardExtremity } from '../../storage/stores/event-graph.js'
import type { EventWrite } from '../../storage/stores/event-writer.js'
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
import { toPending, type EventLookup } from './pending-events.js'
import { mayNotifyRoom, type PushActions } from './push-actions.js'
import { redactionTarget, type RedactionRules } from './redaction-rules.js'
import type { RoomHead, RoomHeads } from './room-heads.js'
import type { SnapshotBuilder, SnapshotRef } from './snapshot-builder.js'
import type { StateChangeDescriber } from './state-changes.js'
import type { StateKeyInterner } from './state-key-interner.js'
import type { StateResolver } from './state-resolver.js'

/** What became of an event from elsewhere. */
export type Reception =
  | { readonly outcome: 'accepted' | 'softFailed'; readonly stored: StoredEvent }
  | { readonly outcome: 'rejected'; readonly stored: StoredEvent; readonly reason: string }
  | { readonly outcome: 'known'; readonly stored: StoredEvent }
  /** Events that must be had first. */
  | {
      readonly outcome: 'missing'
      readonly prevEvents: readonly EventId[]
      readonly authEvents: readonly EventId[]
    }

interface Parts {
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
  readonly prevEvents: readonly StoredEvent[]
  readonly authEvents: readonly StoredEvent[]
}

/**
 * Takes in events that were made elsewhere, whose format, hashes and signatures have been checked: branches, rejected
 * and soft-failed events.
 * https://spec.matrix.org/latest/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
export class EventReceiver {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Judges and stores one event of a room that we are in. Nothing is stored while events are missing. */
  async receive(room: RoomRecord, event: Event): Promise<Reception> {
    const decided = await this.#parts.locks.run(String(room.roomNid), async () => {
      const head = await this.#parts.heads.get(room)
      const found = await this.#find(head, event)
      if ('outcome' in found) return { reception: found }
      const { write, to, judgement } = await this.#compose(head, found)
      this.#parts.heads.advance(head, to, [[write.eventNid, toPending(write)]])
      const stored = this.#parts.persister.persist({ head, writes: [write] })
      // The lock must not wait for the commit; whoever awaits below gets the failure.
      stored.catch(() => undefined)
      return { stored, judgement }
    })
    if (decided.reception) return decided.reception
    const [stored] = await decided.stored
    const { rejected, softFailed } = decided.judgement
    if (rejected !== null) return { outcome: 'rejected', stored: stored!, reason: rejected }
    return { outcome: softFailed ? 'softFailed' : 'accepted', stored: stored! }
  }

  /** What the event refers to, or why it cannot be judged now or need not be. */
  async #find(head: RoomHead, event: Event): Promise<Received | Reception> {
    const references = [event.eventId, ...event.prevEventIds, ...event.authEventIds]
    const held = await this.#parts.lookup.byIds(references, head.pending)
    const known = held.get(event.eventId)
    if (known && known.stateBefore !== null) return { outcome: 'known', stored: known }
    const prevEvents = event.prevEventIds.filter((id) => typeof held.get(id)?.stateAfter !== 'number')
    const authEvents = event.authEventIds.filter((id) => !held.has(id))
    if (prevEvents.length + authEvents.length > 0) return { outcome: 'missing', prevEvents, authEvents }
    const all = (ids: readonly EventId[]): StoredEvent[] => ids.flatMap((id) => held.get(id) ?? [])
    return { event, known, prevEvents: all(event.prevEventIds), authEvents: all(event.authEventIds) }
  }

  /** Decides everything that is written of the event, and where it leads the room. Writes nothing. */
  async #compose(
    head: RoomHead,
    received: Received,
  ): Promise<{ write: EventWrite; to: Pick<RoomHead, 'extremities' | 'state'>; judgement: Judgement }> {
    const { event, known, prevEvents, authEvents } = received
    const { room } = head
    const judgement = await this.#parts.judge.judge(head, received)
    const { before, rejected, softFailed } = judgement
    const eventNid = known?.eventNid ?? (await this.#parts.eventIds.next())
    const after =
      rejected === null ? await this.#stateAfter(room, before, { event, eventNid }) : { ...before, rows: [] }
    const joinsGraph = rejected === null && !softFailed
    const prevNids = prevEvents.map((prev) => prev.eventNid)
    const push = joinsGraph
      ? await this.#parts.pushActions.judge(room, event, {
          mayNotifyRoom: () => mayNotifyRoom(room.rules, event, asAuthState(judgement.state)),
        })
      : { notifies: false, highlights: [], exceptions: [] }
    const removed = joinsGraph
      ? head.extremities.flatMap(({ eventNid: nid }) => (prevNids.includes(nid) ? nid : []))
      : []
    const own = {
      event,
      eventNid,
      room,
      receivedTs: this.#parts.clock.now(),
      kind: 'live' as const,
      wasOutlier: known !== undefined,
      prevNids,
      stateBefore: before.nid,
      stateAfter: after.nid,
      snapshots: [...before.rows, ...after.rows],
      rejected,
      softFailed,
      // An outlier has its place already.
      authPosition:
        event.isState() && !known
          ? await this.#parts.assembler.authPosition(event, authEvents, head.pending)
          : undefined,
      extremities: { becomesOne: joinsGraph, removed },
      relation: relationOf(event),
      notifies: push.notifies,
      highlights: push.highlights,
      pushExceptions: push.exceptions,
      txn: undefined,
      redaction: joinsGraph ? await this.#redaction(head, event, judgement) : undefined,
      redactedBy: await this.#parts.earlyRedactions.find(event, head.pending),
    }
    const to = joinsGraph
      ? await this.#advanced(head, own)
      : { extremities: head.extremities, state: head.state }
    const pending = new Map(head.pending).set(eventNid, toPending(own))
    const stateChanges = await this.#parts.changes.describe(head.state.snapshot, to.state.snapshot, pending)
    const snapshots = [...own.snapshots, ...to.state.rows]
    return { write: { ...own, snapshots, stateChanges }, to, judgement }
  }

  /** The end of the graph with the event. */
  async #advanced(
    head: RoomHead,
    own: Omit<EventWrite, 'stateChanges'>,
  ): Promise<Pick<RoomHead, 'extremities' | 'state'>> {
    const extremity: ForwardExtremity = {
      eventNid: own.eventNid,
      eventId: own.event.eventId,
      depth: own.event.depth,
      stateAfter: own.stateAfter!,
    }
    const others = head.extremities.filter(({ eventNid }) => !own.extremities.removed.includes(eventNid))
    const extremities = [extremity, ...others].sort((a, b) => b.depth - a.depth)
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
