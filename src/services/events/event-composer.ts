import { isDeepStrictEqual } from 'node:util'
import type { EventRelation, EventTxn, EventWrite } from '../../storage/stores/event-writer.js'
import type { ForwardExtremity } from '../../storage/stores/event-graph.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import { forbidden } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import { checkEventAuth } from '../../protocol/event-auth.js'
import { buildEvent, type EventReference, type EventSigner } from '../../protocol/event-builder.js'
import { referenceHash } from '../../protocol/hashes.js'
import type { EventId, ServerName, UserId } from '../../protocol/ids.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject } from '../../util/json.js'
import {
  asAuthState,
  listedAuthEvents,
  nextInGraph,
  type EventAssembler,
  type EventDraft,
  type StateLookup,
} from './event-assembler.js'
import { toPending, type EventLookup, type PendingEvents } from './pending-events.js'
import { mayNotifyRoom, type PushActions } from './push-actions.js'
import type { RedactionRules } from './redaction-rules.js'
import type { RoomHead } from './room-heads.js'
import type { SnapshotBuilder, SnapshotRef } from './snapshot-builder.js'
import type { StateChangeDescriber } from './state-changes.js'
import type { StateKeyInterner } from './state-key-interner.js'
import type { StateResolver } from './state-resolver.js'

/** Where a room's graph ends while a batch of events is being composed. */
export interface GraphEnd {
  readonly extremities: readonly ForwardExtremity[]
  readonly state: SnapshotRef
  /** Events that cannot be read yet: those of the head, and those of this batch. */
  readonly pending: PendingEvents
}

export interface ComposeInput {
  readonly draft: EventDraft
  readonly sender: UserId
  readonly originServerTs?: number | undefined
  /** As `NewEvent.origin`. */
  readonly origin?: ServerName | undefined
  readonly txn?: EventTxn | undefined
}

/** An event and what it was made from. */
interface Assembled {
  readonly event: Event
  readonly prev: readonly ForwardExtremity[]
  readonly before: SnapshotRef
  readonly authState: StateLookup
  readonly authEvents: readonly StoredEvent[]
}

interface Parts {
  readonly lookup: EventLookup
  readonly assembler: EventAssembler
  readonly interner: StateKeyInterner
  readonly builder: SnapshotBuilder
  readonly resolver: StateResolver
  readonly changes: StateChangeDescriber
  readonly pushActions: PushActions
  readonly redactions: RedactionRules
  readonly eventIds: IdAllocator
  readonly clock: Clock
  readonly signer: EventSigner
}

/**
 * Makes an event of a draft at the end of a room's graph and decides everything that will be written of it. Writes
 * nothing. Callers hold the room's lock.
 */
export class EventComposer {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * The state event that already says what the draft says, which then need not be sent.
   */
  async findIdentical(end: GraphEnd, input: ComposeInput): Promise<StoredEvent | undefined> {
    const { draft, sender } = input
    // What is sticky is so anew.
    if (draft.stateKey === undefined || draft.stickyMs !== undefined) return undefined
    const key = stateKeyOf(draft.type, draft.stateKey)
    const at = { snapshot: end.state.snapshot, pending: end.pending }
    const current = (await this.#parts.assembler.lookUp(at, [key])).get(key)
    if (current?.event.sender !== sender) return undefined
    return isDeepStrictEqual(current.event.content, draft.content) ? current : undefined
  }

  /** Whether all state keys of drafts have names that are in memory. */
  knows(drafts: readonly EventDraft[]): boolean {
    return this.#parts.interner.knows(keysOf(drafts))
  }

  /** Names all state keys of a batch at once, so that composing its events need not. */
  async prepare(drafts: readonly EventDraft[]): Promise<void> {
    await this.#parts.interner.intern(keysOf(drafts))
  }

  /**
   * The event alone, as the room's rules allow it now: for those who need another server's signature before it counts.
   * 403 `M_FORBIDDEN` when it is not allowed.
   */
  async propose(head: RoomHead, input: ComposeInput): Promise<Event> {
    return (await this.#assemble(head, head, input)).event
  }

  /** The event and what is written of it, and the end of the graph after it. 403 `M_FORBIDDEN` when it is not allowed. */
  async compose(
    head: RoomHead,
    end: GraphEnd,
    input: ComposeInput,
  ): Promise<{ write: EventWrite; end: GraphEnd }> {
    const { rules } = head.room
    const { event, prev, before, authState, authEvents } = await this.#assemble(head, end, input)
    const remaining = end.extremities.slice(prev.length)
    const redaction = await this.#parts.redactions.judgeLocal(head.room, event, {
      state: authState,
      pending: end.pending,
    })
    const eventNid = await this.#parts.eventIds.next()
    const after = await this.#stateAfter(head, { before, event, eventNid })
    const push = await this.#parts.pushActions.judge(head.room, event, {
      mayNotifyRoom: () => mayNotifyRoom(rules, event, asAuthState(authState)),
    })
    const own: Omit<EventWrite, 'stateChanges' | 'snapshots'> = {
      event,
      eventNid,
      room: head.room,
      receivedTs: this.#parts.clock.now(),
      kind: 'live',
      prevNids: prev.map((extremity) => extremity.eventNid),
      stateBefore: before.nid,
      stateAfter: after.nid,
      rejected: null,
      softFailed: false,
      authPosition: event.isState()
        ? await this.#parts.assembler.authPosition(event, authEvents, end.pending)
        : undefined,
      extremities: { becomesOne: true, removed: prev.map((extremity) => extremity.eventNid) },
      relation: relationOf(event),
      notifies: push.notifies,
      highlights: push.highlights,
      pushExceptions: push.exceptions,
      txn: input.txn,
      redaction,
    }
    return this.#finish(head, end, { own, before, after, remaining })
  }

  /** The event with what authorizes it and the state before it. 403 `M_FORBIDDEN` when it is not allowed. */
  async #assemble(head: RoomHead, end: GraphEnd, input: ComposeInput): Promise<Assembled> {
    const { draft, sender } = input
    const { rules } = head.room
    const { prev } = nextInGraph(end.extremities)
    const isAtEnd = prev.length === end.extremities.length
    const before = isAtEnd ? end.state : await this.#stateOf(head, prev, end.pending)
    const at = { snapshot: before.snapshot, pending: end.pending }
    const authState = await this.#parts.assembler.authState(rules, at, { ...draft, sender })
    const authEvents = listedAuthEvents(rules, authState)
    const event = await this.#build(head, end, { input, prev, authEvents })
    const verdict = checkEventAuth(rules, event, asAuthState(authState))
    if (!verdict.allowed) throw forbidden(verdict.reason)
    return { event, prev, before, authState, authEvents }
  }

  /** The event itself, with its place in the graph. */
  async #build(
    head: RoomHead,
    end: GraphEnd,
    given: { input: ComposeInput; prev: readonly ForwardExtremity[]; authEvents: readonly StoredEvent[] },
  ): Promise<Event> {
    const { draft, sender, originServerTs, origin } = given.input
    const { roomId, rules } = head.room
    const authEvents = given.authEvents.map(({ event: { eventId }, eventNid }) => ({ eventNid, eventId }))
    return buildEvent(
      rules,
      {
        ...(draft.type === 'm.room.create' && rules.roomIdIsCreateHash ? {} : { roomId }),
        type: draft.type,
        sender,
        ...(draft.stateKey !== undefined && { stateKey: draft.stateKey }),
        content: draft.content,
        stickyMs: draft.stickyMs,
        prevEvents: await this.#references(rules, end, given.prev),
        authEvents: await this.#references(rules, end, authEvents),
        depth: nextInGraph(end.extremities).depth,
        originServerTs: originServerTs ?? this.#parts.clock.now(),
        origin,
      },
      this.#parts.signer,
    )
  }

  /** What the event makes of the room. */
  async #finish(
    head: RoomHead,
    end: GraphEnd,
    given: {
      own: Omit<EventWrite, 'stateChanges' | 'snapshots'>
      before: SnapshotRef
      after: SnapshotRef
      remaining: readonly ForwardExtremity[]
    },
  ): Promise<{ write: EventWrite; end: GraphEnd }> {
    const { own, before, after, remaining } = given
    const pending = new Map(end.pending).set(own.eventNid, toPending({ ...own, snapshots: [] }))
    const extremity = {
      eventNid: own.eventNid,
      eventId: own.event.eventId,
      depth: own.event.depth,
      stateAfter: after.nid,
    }
    const extremities = [extremity, ...remaining]
    // The event's own state, unless there are extremities that it does not follow.
    const current =
      remaining.length === 0 ? { ...after, rows: [] } : await this.#stateOf(head, extremities, pending)
    const stateChanges = await this.#parts.changes.describe(end.state.snapshot, current.snapshot, pending)
    const snapshots = [...before.rows, ...after.rows, ...current.rows]
    return {
      write: { ...own, snapshots, stateChanges },
      end: { extremities, state: { ...current, rows: [] }, pending },
    }
  }

  /** The state where branches meet. */
  #stateOf(
    head: RoomHead,
    extremities: readonly ForwardExtremity[],
    pending: PendingEvents,
  ): Promise<SnapshotRef> {
    return this.#parts.resolver.resolve(
      head.room,
      extremities.map((extremity) => extremity.stateAfter),
      pending,
    )
  }

  async #stateAfter(
    head: RoomHead,
    { before, event, eventNid }: { before: SnapshotRef; event: Event; eventNid: number },
  ): Promise<SnapshotRef> {
    if (event.stateKey === undefined) return { ...before, rows: [] }
    const key = stateKeyOf(event.type, event.stateKey)
    const keyNid = (await this.#parts.interner.intern([key])).get(key)
    if (keyNid === undefined) throw new Error(`The state key of ${event.eventId} has no nid`)
    return this.#parts.builder.apply(head.room, before, { keyNid, eventNid })
  }

  /** How the room version refers to other events: by ID, and in the first versions by their hash as well. */
  async #references(
    rules: RoomVersionRules,
    end: GraphEnd,
    events: readonly { readonly eventNid: number; readonly eventId: EventId }[],
  ): Promise<EventReference[]> {
    if (rules.eventIdFormat !== 'v1') return events.map(({ eventId }) => ({ eventId }))
    const stored = await this.#parts.lookup.byNids(
      events.map(({ eventNid }) => eventNid),
      end.pending,
    )
    return events.map(({ eventNid, eventId }) => {
      const referenced = stored.get(eventNid)
      if (!referenced) throw new Error(`Event ${eventId} cannot be read`)
      return { eventId, sha256: referenceHash(referenced.event) }
    })
  }
}

function keysOf(drafts: readonly EventDraft[]): StateKey[] {
  return drafts.flatMap(({ type, stateKey }) => (stateKey === undefined ? [] : [stateKeyOf(type, stateKey)]))
}

/** What an event says of another, in the columns that relations are looked up by. */
export function relationOf(event: Event): EventRelation {
  const relation = event.content['m.relates_to']
  if (!isJsonObject(relation)) return { relatesTo: null, relType: null, threadRoot: null }
  const { event_id: target, rel_type: relType } = relation
  if (!isIndexable(target) || !isIndexable(relType))
    return { relatesTo: null, relType: null, threadRoot: null }
  return {
    relatesTo: target as EventId,
    relType,
    threadRoot: relType === 'm.thread' ? (target as EventId) : null,
  }
}

/** Text that may stand in an indexed column: PostgreSQL has no NUL in text, and IDs have at most 255 bytes. */
function isIndexable(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 255 && !value.includes('\u0000')
}
