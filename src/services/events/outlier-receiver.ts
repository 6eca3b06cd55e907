import type { Database } from '../../storage/database.js'
import type { EventWrite } from '../../storage/stores/event-writer.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { MissingEventsStore } from '../../storage/stores/missing-events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import type { AuthVerdict } from '../../protocol/auth-verdict.js'
import type { Event } from '../../protocol/event.js'
import { checkEventAuth } from '../../protocol/event-auth.js'
import type { EventId } from '../../protocol/ids.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import { topologicalSort } from '../../protocol/topological-sort.js'
import type { Clock } from '../../util/clock.js'
import type { KeyedMutex } from '../../util/keyed-mutex.js'
import { asAuthState, type EventAssembler, type StateLookup } from './event-assembler.js'
import { relationOf } from './event-composer.js'
import { judgeByAuthEvents } from './event-judge.js'
import type { EventPersister } from './event-persister.js'
import { toPending, type EventLookup, type PendingEvent } from './pending-events.js'
import { detachedHead, type RoomHeads } from './room-heads.js'

/** What became of a set of outliers. */
export interface OutlierReception {
  /** All that are held now, whether they came now or before; rejected ones too. */
  readonly stored: readonly StoredEvent[]
  /** Auth events that are neither held nor among those given: what needs them was left out. */
  readonly missing: readonly EventId[]
}

/** A commit of more would make others wait. */
const MAX_EVENTS_PER_COMMIT = 1_000

interface Parts {
  readonly missingEvents: MissingEventsStore
  readonly lookup: EventLookup
  readonly assembler: EventAssembler
  readonly persister: EventPersister
  readonly heads: RoomHeads
  readonly locks: KeyedMutex
  readonly eventIds: IdAllocator
  readonly clock: Clock
}

/** The events of one set, while their writes are put together. */
interface Progress {
  readonly room: RoomRecord
  /** With their places in the auth chains. */
  readonly held: Map<EventId, StoredEvent>
  /** Held too, but as memberships from outside, which got no place since nothing was known of their auth events. */
  readonly placeless: ReadonlyMap<EventId, StoredEvent>
  /** What others call those that follow them and came before them. */
  readonly gapNids: ReadonlyMap<EventId, number>
  readonly pending: Map<number, PendingEvent>
  readonly writes: EventWrite[]
  readonly missing: Set<EventId>
}

/**
 * Takes in events whose place in the graph is not known, such as the auth events of others: judged by their auth events
 * alone. Format, hashes and signatures have been checked.
 * https://spec.matrix.org/latest/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
export class OutlierReceiver {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * Stores events of a room. They may be given in any order, and some may be held already. Many are stored bit by bit, so
   * that others who write to the room, or at all, have their turns.
   */
  async receive(room: RoomRecord, events: readonly Event[]): Promise<OutlierReception> {
    const given = new Map(events.map((event) => [event.eventId, event]))
    const ordered = inAuthOrder(given)
    const stored = new Map<EventId, StoredEvent>()
    const missing = new Set<EventId>()
    for (let start = 0; start < ordered.length; start += MAX_EVENTS_PER_COMMIT) {
      const some = ordered.slice(start, start + MAX_EVENTS_PER_COMMIT)
      const reception = await this.#parts.locks.run(String(room.roomNid), () => this.#receive(room, some))
      for (const one of reception.stored) stored.set(one.event.eventId, one)
      for (const id of reception.missing) missing.add(id)
    }
    return { stored: [...given.keys()].flatMap((id) => stored.get(id) ?? []), missing: [...missing] }
  }

  /** `events`: in the order in which they authorize each other. */
  async #receive(room: RoomRecord, events: readonly Event[]): Promise<OutlierReception> {
    const given = new Map(events.map((event) => [event.eventId, event]))
    const createId = room.rules.roomIdIsCreateHash ? [`$${room.roomId.slice(1)}` as EventId] : []
    const ids = [...given.keys(), ...events.flatMap((event) => event.authEventIds), ...createId]
    const pending = new Map(this.#parts.heads.pendingOf(room))
    const held = await this.#parts.lookup.byIds(ids, pending)
    const placeless = await this.#parts.lookup.takePlaceless(held, pending)
    const absent = [...given.keys()].filter((id) => !held.has(id))
    const gapNids = await this.#parts.missingEvents.getNids(this.#db.reader, absent)
    const progress: Progress = { room, held, placeless, gapNids, pending, writes: [], missing: new Set() }
    for (const event of events) if (!held.has(event.eventId)) await this.#add(progress, event)
    if (progress.writes.length > 0) {
      // The lock is held until they can be read: they are in no head that others could find them by.
      await this.#parts.persister.persist({ head: detachedHead(room), writes: progress.writes })
    }
    return { stored: [...given.keys()].flatMap((id) => held.get(id) ?? []), missing: [...progress.missing] }
  }

  async #add(progress: Progress, event: Event): Promise<void> {
    const { room, held, placeless, gapNids, pending } = progress
    const known = placeless.get(event.eventId)
    const authEvents = event.authEventIds.flatMap((id) => held.get(id) ?? [])
    if (authEvents.length < event.authEventIds.length) {
      for (const id of event.authEventIds) if (!held.has(id)) progress.missing.add(id)
      return
    }
    const verdict = judge(event, authEvents, held)
    const write: EventWrite = {
      event,
      eventNid: known?.eventNid ?? gapNids.get(event.eventId) ?? (await this.#parts.eventIds.next()),
      room,
      receivedTs: this.#parts.clock.now(),
      kind: 'outlier',
      wasOutlier: known !== undefined,
      prevNids: [],
      stateBefore: null,
      stateAfter: null,
      snapshots: [],
      rejected: verdict.allowed ? null : `${verdict.rule}: ${verdict.reason}`,
      softFailed: false,
      authPosition: event.isState()
        ? await this.#parts.assembler.authPosition(event, authEvents, pending)
        : undefined,
      stateChanges: [],
      extremities: { becomesOne: false, removed: [] },
      relation: relationOf(event),
      notifies: false,
      highlights: [],
      txn: undefined,
      redaction: undefined,
    }
    progress.writes.push(write)
    const added = toPending(write)
    pending.set(write.eventNid, added)
    held.set(event.eventId, added.stored)
  }
}

/** Auth events before what they authorize; events that authorize each other in a circle are left out. */
function inAuthOrder(events: ReadonlyMap<EventId, Event>): Event[] {
  const isCreate = (id: EventId): boolean => events.get(id)?.type === 'm.room.create'
  const ids = topologicalSort(
    events.keys(),
    (id) => events.get(id)?.authEventIds ?? [],
    // The create event of version 12 authorizes without being listed.
    (a, b) => Number(isCreate(b)) - Number(isCreate(a)) || (a < b ? -1 : 1),
  )
  return ids.flatMap((id) => events.get(id) ?? [])
}

function judge(
  event: Event,
  authEvents: readonly StoredEvent[],
  held: ReadonlyMap<EventId, StoredEvent>,
): AuthVerdict {
  if (event.type === 'm.room.create') return checkEventAuth(event.rules, event, asAuthState(new Map()))
  const create = held.get(`$${event.roomId.slice(1)}` as EventId)
  const state: StateLookup = create ? new Map([[stateKeyOf('m.room.create', ''), create]]) : new Map()
  return judgeByAuthEvents(event, authEvents, state)
}
