import type { Query, Tx } from '../database.js'
import type { EventId } from '../../protocol/ids.js'

/** A previous event that has no place in the timeline: it is not held, or held as an outlier. */
export interface MissingEvent {
  readonly eventNid: number
  readonly eventId: EventId
}

/** A missing event, and how deep the deepest event is that follows it. */
export interface HistoryGap extends MissingEvent {
  readonly depth: number
}

/** What is written of the gaps that an event opens or closes. */
export interface GapWrite {
  readonly event: { readonly eventId: EventId }
  readonly room: { readonly roomNid: number }
  readonly missingPrevs?: readonly MissingEvent[]
  readonly closesGap?: boolean
}

/** Where the history of rooms that this server holds ends: the backward extremities. */
export class MissingEventsStore {
  /** The nids of those that others refer to already. By unique index. */
  async getNids(q: Query, ids: readonly EventId[]): Promise<Map<EventId, number>> {
    if (ids.length === 0) return new Map()
    const rows = await q.all<{ event_id: string; event_nid: number }>(
      `SELECT event_id, event_nid FROM missing_events WHERE ${q.dialect.anyOf('event_id', 'text')}`,
      [q.dialect.list(ids)],
    )
    return new Map(rows.map((row) => [row.event_id as EventId, row.event_nid]))
  }

  /**
   * The gaps behind events of some depth at most, the ones behind the deepest events first. Indexes
   * missing_events_room, event_edges.
   */
  async listGaps(q: Query, roomNid: number, maxDepth: number, limit: number): Promise<HistoryGap[]> {
    const rows = await q.all<{ event_nid: number; event_id: string; depth: number }>(
      `SELECT m.event_nid, m.event_id, MAX(e.depth) AS depth FROM missing_events m
       JOIN event_edges d ON d.prev_nid = m.event_nid JOIN events e ON e.event_nid = d.event_nid
       WHERE m.room_nid = ? AND e.depth <= ? AND e.rejected IS NULL AND e.stream_ordering IS NOT NULL
       GROUP BY m.event_nid, m.event_id ORDER BY MAX(e.depth) DESC LIMIT ?`,
      [roomNid, maxDepth, limit],
    )
    return rows.map((row) => ({
      eventNid: row.event_nid,
      eventId: row.event_id as EventId,
      depth: row.depth,
    }))
  }
}

/** Opens and closes gaps with the events that do. */
export async function writeGaps(tx: Tx, writes: readonly GapWrite[]): Promise<void> {
  const missing = writes.flatMap(({ missingPrevs, room }) =>
    (missingPrevs ?? []).map(({ eventNid, eventId }) => ({
      event_nid: eventNid,
      event_id: eventId,
      room_nid: room.roomNid,
    })),
  )
  const closed = writes.flatMap(({ closesGap, event }) => (closesGap ? [event.eventId] : []))
  // In this order: one event of a batch may close what another opens.
  await Promise.all([
    missing.length > 0
      ? tx.insertMany('missing_events', missing, {
          columns: { event_nid: 'integer', event_id: 'text', room_nid: 'integer' },
          conflict: 'ignore',
        })
      : undefined,
    closed.length > 0
      ? tx.execute(`DELETE FROM missing_events WHERE ${tx.dialect.anyOf('event_id', 'text')}`, [
          tx.dialect.list(closed),
        ])
      : undefined,
  ])
}
