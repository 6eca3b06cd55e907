import type { Database, Tx } from '../../storage/database.js'
import type { ForwardExtremity } from '../../storage/stores/event-graph.js'
import type { EventWrite } from '../../storage/stores/event-writer.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { MissingEvent, MissingEventsStore } from '../../storage/stores/missing-events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import { forbidden, MatrixError } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import { checkEventAuth } from '../../protocol/event-auth.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { Clock } from '../../util/clock.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import { asAuthState, type EventAssembler } from './event-assembler.js'
import { relationOf } from './event-composer.js'
import { judgeByAuthEvents } from './event-judge.js'
import type { EventPersister } from './event-persister.js'
import type { FlatStates } from './flat-states.js'
import { toPending, type EventLookup, type PendingEvents } from './pending-events.js'
import type { RoomHead, RoomHeads } from './room-heads.js'
import type { SnapshotBuilder, SnapshotRef } from './snapshot-builder.js'
import type { StateKeyInterner } from './state-key-interner.js'

/** A room as another server has handed it over, and the event by which one of our users came in. */
export interface Adoption {
  readonly room: RoomRecord
  /** The state before the event: accepted events that are stored, each for another key. */
  readonly state: readonly StoredEvent[]
  /** A join, signed by all who have to. */
  readonly event: Event
  /** Further rows of the same transaction, with the event's nid. May run more than once. */
  readonly inTransaction?: (tx: Tx, eventNid: number) => Promise<void>
}

interface Parts {
  readonly flat: FlatStates
  readonly missingEvents: MissingEventsStore
  readonly assembler: EventAssembler
  readonly lookup: EventLookup
  readonly interner: StateKeyInterner
  readonly builder: SnapshotBuilder
  readonly persister: EventPersister
  readonly heads: RoomHeads
  readonly locks: KeyedMutex
  readonly eventIds: IdAllocator
  readonly clock: Clock
}

/** What the room is made of. */
interface Foundation {
  readonly eventNid: number
  readonly isKnown: boolean
  readonly before: SnapshotRef
  readonly after: SnapshotRef
  readonly authEvents: readonly StoredEvent[]
}

/**
 * Begins a room at the state that another server vouches for: what this server knew of the room's end is given up,
 * whether it knew nothing or was in the room long ago.
 * https://spec.matrix.org/latest/server-server-api/#joining-rooms
 */
export class RoomAdopter {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * Makes the event the room's only end, with the state that it follows. Throws 403 `M_FORBIDDEN` where that state or
   * the event's auth events do not allow it, 502 `M_CONNECTION_FAILED` where its auth events are not held.
   */
  adopt(adoption: Adoption): Promise<StoredEvent> {
    return this.#parts.locks.run(String(adoption.room.roomNid), () => this.#adopt(adoption))
  }

  async #adopt(adoption: Adoption): Promise<StoredEvent> {
    const { room, event, inTransaction } = adoption
    const { heads, persister } = this.#parts
    const old = await heads.find(room)
    const pending = heads.pendingOf(room)
    const foundation = await this.#lay(adoption, pending)
    const { eventNid, after } = foundation
    const own = this.#toWrite(adoption, foundation, {
      ...(await this.#previous(event, pending)),
      removed: old?.extremities ?? [],
      authPosition: foundation.isKnown
        ? undefined
        : await this.#parts.assembler.authPosition(event, foundation.authEvents, pending),
    })
    const withOwn = new Map(pending).set(eventNid, toPending(own))
    const stateChanges = await this.#parts.flat.changesTo(room, after.snapshot, withOwn)
    const write: EventWrite = { ...own, stateChanges }
    const head: RoomHead = {
      room,
      extremities: [extremityOf(write, after)],
      state: after,
      pending: new Map(pending),
      failed: false,
    }
    heads.advance(head, head, [[eventNid, toPending(write)]])
    const [stored] = await persister.persist({
      head,
      writes: [write],
      ...(inTransaction && { inTransaction: (tx) => inTransaction(tx, eventNid) }),
    })
    return stored!
  }

  /** The states before and after the event, which both have to allow it. */
  async #lay({ room, state, event }: Adoption, pending: PendingEvents): Promise<Foundation> {
    const { interner, builder, lookup, eventIds } = this.#parts
    const byKey = new Map<StateKey, StoredEvent>()
    for (const stored of state) {
      const key = stateKeyOf(stored.event.type, stored.event.stateKey ?? '')
      if (byKey.has(key)) throw unusable(`The state has two events for ${stored.event.type}`)
      byKey.set(key, stored)
    }
    const known = await lookup.byIds([event.eventId, ...event.authEventIds], pending)
    await lookup.takePlaceless(known, pending)
    const authEvents = event.authEventIds.flatMap((id) => known.get(id) ?? [])
    if (authEvents.length < event.authEventIds.length)
      throw unusable("Not all of the join's auth events are there")
    for (const verdict of [
      judgeByAuthEvents(event, authEvents, byKey),
      checkEventAuth(event.rules, event, asAuthState(byKey)),
    ]) {
      if (!verdict.allowed) throw forbidden(verdict.reason)
    }
    const ownKey = stateKeyOf(event.type, event.stateKey ?? '')
    const keyNids = await interner.intern([...byKey.keys(), ownKey])
    const eventNid = known.get(event.eventId)?.eventNid ?? (await eventIds.next())
    const entries = new Map([...byKey].map(([key, { eventNid: nid }]) => [keyNids.get(key)!, nid]))
    const before = await builder.build(room, await builder.empty(room, { isNewRoom: false }), entries)
    const after = await builder.build(room, before, new Map([[keyNids.get(ownKey)!, eventNid]]))
    return { eventNid, isKnown: known.has(event.eventId), before, after, authEvents }
  }

  #toWrite(
    { room, event }: Adoption,
    { eventNid, isKnown, before, after }: Foundation,
    place: Pick<EventWrite, 'prevNids' | 'authPosition'> & {
      missingPrevs: readonly MissingEvent[]
      removed: readonly ForwardExtremity[]
    },
  ): Omit<EventWrite, 'stateChanges'> {
    return {
      event,
      eventNid,
      room,
      receivedTs: this.#parts.clock.now(),
      kind: 'live',
      wasOutlier: isKnown,
      prevNids: place.prevNids,
      missingPrevs: place.missingPrevs,
      stateBefore: before.nid,
      stateAfter: after.nid,
      snapshots: [...before.rows, ...after.rows],
      rejected: null,
      softFailed: false,
      authPosition: place.authPosition,
      extremities: {
        becomesOne: true,
        removed: place.removed.flatMap(({ eventNid: nid }) => (nid === eventNid ? [] : [nid])),
      },
      relation: relationOf(event),
      notifies: false,
      highlights: [],
      txn: undefined,
      redaction: undefined,
    }
  }

  /** The previous events' nids, those that they will have where they are not held; and where the history ends. */
  async #previous(
    event: Event,
    pending: PendingEvents,
  ): Promise<Pick<EventWrite, 'prevNids'> & { missingPrevs: readonly MissingEvent[] }> {
    const { lookup, missingEvents, eventIds } = this.#parts
    const found = await lookup.byIds(event.prevEventIds, pending)
    const absent = event.prevEventIds.filter((id) => !found.has(id))
    const nids = new Map(await missingEvents.getNids(this.#db.reader, absent))
    for (const id of absent) if (!nids.has(id)) nids.set(id, await eventIds.next())
    for (const [id, { eventNid }] of found) nids.set(id, eventNid)
    const missing = [...nids].filter(([id]) => (found.get(id)?.streamOrdering ?? null) === null)
    return {
      prevNids: [...nids.values()],
      missingPrevs: missing.map(([eventId, eventNid]) => ({ eventId, eventNid })),
    }
  }
}

function extremityOf({ event, eventNid }: EventWrite, after: SnapshotRef): ForwardExtremity {
  return { eventNid, eventId: event.eventId, depth: event.depth, stateAfter: after.nid }
}

/** What another server has handed over is no room. */
function unusable(message: string): MatrixError {
  return new MatrixError('M_CONNECTION_FAILED', message)
}
