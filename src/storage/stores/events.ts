import type { BulkCache, CacheRegistry, RowCache } from '../cache-registry.js'
import type { Query } from '../database.js'
import type { EventId } from '../../protocol/ids.js'
import type { Event } from '../../protocol/event.js'
import { restoreEvent } from '../../protocol/event-format.js'
import { redactEvent } from '../../protocol/redaction.js'
import type { RoomRecord, RoomsStore } from './rooms.js'

/** An event and what this server knows of it. */
export interface StoredEvent {
  /** In its redacted form when `redactedBy` is set. */
  readonly event: Event
  readonly eventNid: number
  readonly roomNid: number
  /** Null for outliers, negative for backfilled events. */
  readonly streamOrdering: number | null
  readonly receivedTs: number
  /** Snapshots; null for outliers. They differ only for accepted state events. */
  readonly stateBefore: number | null
  readonly stateAfter: number | null
  /** The authorization rule that failed. A rejected event takes part in nothing. */
  readonly rejected: string | null
  readonly softFailed: boolean
  /** The redaction event that took its content away. */
  readonly redactedBy: EventId | null
  readonly relatesTo: EventId | null
  readonly relType: string | null
  readonly threadRoot: EventId | null
  /** What the default push rules say: everybody else in the room is notified. */
  readonly notifies: boolean
}

/** The columns that `toStoredEvent` reads, for queries of other stores: `e` is `events`. */
export const EVENT_COLUMNS = `e.event_nid, e.event_id, e.room_nid, e.stream_ordering, e.received_ts, e.state_before,
  e.state_after, e.rejected, e.soft_failed, e.redacted_by, e.relates_to, e.rel_type, e.thread_root, e.notifies, e.json`

export interface EventRow {
  event_nid: number
  event_id: string
  room_nid: number
  stream_ordering: number | null
  received_ts: number
  state_before: number | null
  state_after: number | null
  rejected: string | null
  soft_failed: number
  redacted_by: string | null
  relates_to: string | null
  rel_type: string | null
  thread_root: string | null
  notifies: number
  json: string
}

/**
 * Events by ID and nid. An event never changes but for redaction, rejection being lifted and purging; the writers of
 * those invalidate.
 */
export class EventsStore {
  /** They change when they are redacted: whoever reads from before that must not put back what was. */
  readonly #byNid: RowCache<number, StoredEvent>
  readonly #nidsById: BulkCache<EventId, number>
  readonly #rooms: RoomsStore

  constructor(caches: CacheRegistry, rooms: RoomsStore, options: { cacheSize: number }) {
    this.#byNid = caches.createMutable({ name: 'getEvent', max: options.cacheSize })
    this.#nidsById = caches.create({ name: 'event_nids', max: options.cacheSize * 2 })
    this.#rooms = rooms
  }

  async get(q: Query, eventId: EventId): Promise<StoredEvent | undefined> {
    return (await this.getByIds(q, [eventId])).get(eventId)
  }

  async getByIds(q: Query, ids: readonly EventId[]): Promise<Map<EventId, StoredEvent>> {
    const nids = await this.getNids(q, ids)
    const events = await this.getByNids(q, [...nids.values()])
    return new Map([...events.values()].map((stored) => [stored.event.eventId, stored]))
  }

  /** The IDs of events alone, by nid. By primary key. */
  async listIds(q: Query, nids: readonly number[]): Promise<Map<number, EventId>> {
    if (nids.length === 0) return new Map()
    const rows = await q.all<{ event_nid: number; event_id: string }>(
      `SELECT event_nid, event_id FROM events WHERE ${q.dialect.anyOf('event_nid', 'integer')}`,
      [q.dialect.list(nids)],
    )
    return new Map(rows.map((row) => [row.event_nid, row.event_id as EventId]))
  }

  /** The nids of those events that this server holds. */
  getNids(q: Query, ids: readonly EventId[]): Promise<Map<EventId, number>> {
    return this.#nidsById.getMany(ids, async (missing) => {
      const rows = await q.all<{ event_id: string; event_nid: number }>(
        `SELECT event_id, event_nid FROM events WHERE ${q.dialect.anyOf('event_id', 'text')}`,
        [q.dialect.list(missing)],
      )
      return new Map(rows.map((row) => [row.event_id as EventId, row.event_nid]))
    })
  }

  getByNids(q: Query, nids: readonly number[]): Promise<Map<number, StoredEvent>> {
    return this.#byNid.getRows(q, nids, async (missing) => {
      const rows = await q.all<EventRow>(
        `SELECT ${EVENT_COLUMNS} FROM events e WHERE ${q.dialect.anyOf('e.event_nid', 'integer')}`,
        [q.dialect.list(missing)],
      )
      return this.fromRows(q, rows)
    })
  }

  /** An event if it is in memory: no query. */
  peek(eventNid: number): StoredEvent | undefined {
    return this.#byNid.peek(eventNid)
  }

  /** Events of rows with `EVENT_COLUMNS`, by nid in the order of the rows; those in memory are taken from there. */
  async fromRows(q: Query, rows: readonly EventRow[]): Promise<Map<number, StoredEvent>> {
    const rooms = await this.#rooms.getByNids(q, [...new Set(rows.map((row) => row.room_nid))])
    const events = new Map<number, StoredEvent>()
    for (const row of rows) {
      const room = rooms.get(row.room_nid)
      if (!room) continue
      const known = this.#byNid.peek(row.event_nid)
      events.set(row.event_nid, known ?? toStoredEvent(room, row))
    }
    return events
  }

  /** Makes an event known that is being written. */
  remember(stored: StoredEvent): void {
    this.#byNid.set(stored.eventNid, stored)
    this.#nidsById.set(stored.event.eventId, stored.eventNid)
  }

  /** After rows have gone: nobody finds the events any more. */
  forgetIds(ids: readonly EventId[]): void {
    for (const id of ids) {
      const nid = this.#nidsById.peek(id)
      if (nid !== undefined) this.#byNid.delete(nid)
      this.#nidsById.delete(id)
    }
  }

  /** After a change of the event's row: the next reader reads it anew. */
  forget(eventNid: number): void {
    this.#byNid.delete(eventNid)
  }
}

function toStoredEvent(room: RoomRecord, row: EventRow): StoredEvent {
  const ids = { eventId: row.event_id as EventId, roomId: room.roomId }
  const event = restoreEvent(room.rules, row.json, ids)
  return {
    event: row.redacted_by === null ? event : redactEvent(event),
    eventNid: row.event_nid,
    roomNid: row.room_nid,
    streamOrdering: row.stream_ordering,
    receivedTs: row.received_ts,
    stateBefore: row.state_before,
    stateAfter: row.state_after,
    rejected: row.rejected,
    softFailed: row.soft_failed === 1,
    redactedBy: row.redacted_by as EventId | null,
    relatesTo: row.relates_to as EventId | null,
    relType: row.rel_type,
    threadRoot: row.thread_root as EventId | null,
    notifies: row.notifies === 1,
  }
}
