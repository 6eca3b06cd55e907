import type { Database } from '../../storage/database.js'
import type { EventGraphStore, ForwardExtremity } from '../../storage/stores/event-graph.js'
import type { EventWrite } from '../../storage/stores/event-writer.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import { authStateKeys } from '../../protocol/auth-events.js'
import type { Event } from '../../protocol/event.js'
import { checkEventAuth } from '../../protocol/event-auth.js'
import type { EventId } from '../../protocol/ids.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { Clock } from '../../util/clock.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import { asAuthState, type EventAssembler, type StateLookup } from './event-assembler.js'
import { relationOf } from './event-composer.js'
import { toStored, type EventPersister } from './event-persister.js'
import { mayNotifyRoom, type PushActions } from './push-actions.js'
import type { RedactionRules } from './redaction-rules.js'
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
  readonly events: EventsStore
  readonly graph: EventGraphStore
  readonly assembler: EventAssembler
  readonly interner: StateKeyInterner
  readonly builder: SnapshotBuilder
  readonly resolver: StateResolver
  readonly changes: StateChangeDescriber
  readonly pushActions: PushActions
  readonly redactions: RedactionRules
  readonly persister: EventPersister
  readonly heads: RoomHeads
  readonly locks: KeyedMutex
  readonly eventIds: IdAllocator
  readonly clock: Clock
}

/** What the checks on receipt came to. */
interface Judgement {
  readonly rejected: string | null
  readonly softFailed: boolean
  readonly before: SnapshotRef
  readonly authEvents: readonly StoredEvent[]
  readonly stateLookup: StateLookup
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
  async receive(room: RoomRecord, event: Event): Promise<Reception> {
    const committing = await this.#parts.locks.run(String(room.roomNid), async () => {
      // What waits for its commit cannot be read, and an event may name it.
      await this.#parts.persister.drain()
      const known = await this.#parts.events.get(this.#db.reader, event.eventId)
      if (known?.stateBefore != null) return { done: { outcome: 'known', stored: known } as Reception }
      const references = [...event.prevEventIds, ...event.authEventIds]
      const held = await this.#parts.events.getByIds(this.#db.reader, references)
      const missingPrev = event.prevEventIds.filter((id) => held.get(id)?.stateAfter == null)
      const missingAuth = event.authEventIds.filter((id) => !held.has(id))
      if (missingPrev.length + missingAuth.length > 0) {
        return { done: { outcome: 'missing', prevEvents: missingPrev, authEvents: missingAuth } as Reception }
      }
      return { write: await this.#compose(room, event, held) }
    })
    if ('done' in committing) return committing.done
    const { write, judgement } = committing.write
    const [stored] = await write
    if (judgement.rejected !== null)
      return { outcome: 'rejected', stored: stored!, reason: judgement.rejected }
    return { outcome: judgement.softFailed ? 'softFailed' : 'accepted', stored: stored! }
  }

  async #compose(
    room: RoomRecord,
    event: Event,
    held: ReadonlyMap<EventId, StoredEvent>,
  ): Promise<{ write: Promise<readonly StoredEvent[]>; judgement: Judgement }> {
    const head = await this.#parts.heads.get(room)
    const judgement = await this.#judge(head, event, held)
    const eventNid = await this.#parts.eventIds.next()
    const accepted = judgement.rejected === null
    const after = accepted
      ? await this.#stateAfter(room, judgement.before, { event, eventNid })
      : { ...judgement.before, rows: [] }
    const joinsGraph = accepted && !judgement.softFailed
    const prevNids = event.prevEventIds.flatMap((id) => held.get(id)?.eventNid ?? [])
    const extremities = joinsGraph
      ? [
          { eventNid, eventId: event.eventId, depth: event.depth, stateAfter: after.nid },
          ...head.extremities.filter((extremity) => !prevNids.includes(extremity.eventNid)),
        ]
      : head.extremities
    const current = joinsGraph ? await this.#stateOf(room, extremities) : { ...head.state, rows: [] }
    const push = joinsGraph
      ? await this.#parts.pushActions.judge(room, event, {
          mayNotifyRoom: () => mayNotifyRoom(room.rules, event, asAuthState(judgement.stateLookup)),
        })
      : { notifies: false, highlights: [] }
    const own = {
      event,
      eventNid,
      room,
      receivedTs: this.#parts.clock.now(),
      kind: 'live' as const,
      prevNids,
      stateBefore: judgement.before.nid,
      stateAfter: after.nid,
      snapshots: [...judgement.before.rows, ...after.rows, ...current.rows],
      rejected: judgement.rejected,
      softFailed: judgement.softFailed,
      authPosition: event.isState()
        ? await this.#parts.assembler.authPosition(event, judgement.authEvents)
        : undefined,
      extremities: {
        becomesOne: joinsGraph,
        removed: head.extremities
          .filter((extremity) => joinsGraph && prevNids.includes(extremity.eventNid))
          .map((extremity) => extremity.eventNid),
      },
      relation: relationOf(event),
      notifies: push.notifies,
      highlights: push.highlights,
      txn: undefined,
      redaction: joinsGraph ? await this.#redaction(event, judgement.stateLookup) : undefined,
    }
    const pending = new Map([[eventNid, toStored({ ...own, stateChanges: [] })]])
    const stateChanges = await this.#parts.changes.describe(head.state.snapshot, current.snapshot, pending)
    const write: EventWrite = { ...own, stateChanges }
    head.extremities = extremities
    head.state = { ...current, rows: [] }
    head.pending.set(eventNid, toStored(write))
    const stored = this.#parts.persister.persist({ head, writes: [write] })
    stored.catch(() => undefined)
    return { write: stored, judgement }
  }

  /** Checks 4 to 6 on receipt: against its auth events, the state before it, and the current state. */
  async #judge(head: RoomHead, event: Event, held: ReadonlyMap<EventId, StoredEvent>): Promise<Judgement> {
    const prev = event.prevEventIds.flatMap((id) => held.get(id) ?? [])
    const before = await this.#parts.resolver.resolve(
      head.room,
      prev.flatMap((stored) => stored.stateAfter ?? []),
    )
    const authEvents = event.authEventIds.flatMap((id) => held.get(id) ?? [])
    const draft = {
      type: event.type,
      sender: event.sender,
      content: event.content,
      ...(event.stateKey !== undefined && { stateKey: event.stateKey }),
    }
    const keys = authStateKeys(event.rules, draft).map(([type, stateKey]) => stateKeyOf(type, stateKey))
    const lookUp = (snapshot: SnapshotRef): Promise<StateLookup> =>
      this.#parts.assembler.lookUp({ snapshot: snapshot.snapshot, pending: head.pending }, keys)
    const stateLookup = await lookUp(before)
    const judgement = { before, authEvents, stateLookup, softFailed: false }
    const rejectedAuth = authEvents.find((stored) => stored.rejected !== null)
    if (rejectedAuth)
      return { ...judgement, rejected: `Auth event ${rejectedAuth.event.eventId} was rejected` }
    for (const state of [byKey(authEvents, stateLookup), stateLookup]) {
      const verdict = checkEventAuth(event.rules, event, asAuthState(state))
      if (!verdict.allowed) return { ...judgement, rejected: `${verdict.rule}: ${verdict.reason}` }
    }
    const now = checkEventAuth(event.rules, event, asAuthState(await lookUp(head.state)))
    return { ...judgement, rejected: null, softFailed: !now.allowed }
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

  #stateOf(room: RoomRecord, extremities: readonly ForwardExtremity[]): Promise<SnapshotRef> {
    return this.#parts.resolver.resolve(
      room,
      extremities.map((extremity) => extremity.stateAfter),
    )
  }

  async #redaction(event: Event, state: StateLookup): Promise<EventWrite['redaction']> {
    if (event.redacts === undefined) return undefined
    const target = await this.#parts.events.get(this.#db.reader, event.redacts)
    return this.#parts.redactions.judgeRemote(target, event, state)
  }
}

/**
 * Auth events by what they hold. Room version 12 lists no create event: the room's own stands in.
 */
function byKey(authEvents: readonly StoredEvent[], state: StateLookup): StateLookup {
  const lookup = new Map<StateKey, StoredEvent>()
  const createKey = stateKeyOf('m.room.create', '')
  const create = state.get(createKey)
  if (create?.event.rules.roomIdIsCreateHash) lookup.set(createKey, create)
  for (const stored of authEvents) {
    const { type, stateKey } = stored.event
    if (stateKey !== undefined) lookup.set(stateKeyOf(type, stateKey), stored)
  }
  return lookup
}
