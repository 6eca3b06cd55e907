import type { Query, Tx } from '../database.js'

/** An event that is sticky, and where it stands in the stream. */
export interface StickyEvent {
  readonly eventNid: number
  readonly roomNid: number
  readonly streamOrdering: number
}

export interface StickyRange {
  readonly after: number
  readonly upTo: number
  /** What is sticky no longer than this is left out; in milliseconds since the epoch. */
  readonly now: number
  readonly limit: number
}

/** Of this server's users; all where `after` is not given. */
export interface LocalRange extends Pick<StickyRange, 'now' | 'limit'> {
  readonly after?: number | undefined
  readonly localPattern: string
}

interface Row {
  event_nid: number
  room_nid: number
  stream_ordering: number
}

/** Events that are told to everybody in their room for a while. The rows are written with the events. */
export class StickyEventsStore {
  /** Those of some rooms in `(after, upTo]`, the oldest first. Index sticky_events_room. */
  async listInRooms(q: Query, roomNids: readonly number[], range: StickyRange): Promise<StickyEvent[]> {
    if (roomNids.length === 0 || range.after >= range.upTo) return []
    const rows = await q.all<Row>(
      `SELECT event_nid, room_nid, stream_ordering FROM sticky_events
       WHERE ${q.dialect.anyOf('room_nid', 'integer')} AND stream_ordering > ? AND stream_ordering <= ?
         AND expires_ts > ? ORDER BY stream_ordering LIMIT ?`,
      [q.dialect.list(roomNids), range.after, range.upTo, range.now, range.limit],
    )
    return rows.map(toStickyEvent)
  }

  /** Those of all rooms in `(after, upTo]`, the oldest first. By primary key. */
  async listInStream(q: Query, range: StickyRange): Promise<StickyEvent[]> {
    if (range.after >= range.upTo) return []
    const rows = await q.all<Row>(
      `SELECT event_nid, room_nid, stream_ordering FROM sticky_events
       WHERE stream_ordering > ? AND stream_ordering <= ? AND expires_ts > ? ORDER BY stream_ordering LIMIT ?`,
      [range.after, range.upTo, range.now, range.limit],
    )
    return rows.map(toStickyEvent)
  }

  /** Those of this server's users in some rooms, the oldest first. Index sticky_events_room, then by primary key. */
  async listLocal(
    q: Query,
    roomNids: readonly number[],
    { after, now, limit, localPattern }: LocalRange,
  ): Promise<StickyEvent[]> {
    if (roomNids.length === 0) return []
    const rows = await q.all<Row>(
      `SELECT s.event_nid, s.room_nid, s.stream_ordering FROM sticky_events s JOIN events e ON e.event_nid = s.event_nid
       WHERE ${q.dialect.anyOf('s.room_nid', 'integer')} AND s.stream_ordering > ? AND s.expires_ts > ?
         AND e.sender LIKE ? ESCAPE '!'
       ORDER BY s.stream_ordering LIMIT ?`,
      [q.dialect.list(roomNids), after ?? 0, now, localPattern, limit],
    )
    return rows.map(toStickyEvent)
  }

  /** Those that were soft-failed and are still sticky, after one of them: nids, in order. By primary key. */
  async listWaiting(
    q: Query,
    { after, now, limit }: { after: number; now: number; limit: number },
  ): Promise<number[]> {
    const rows = await q.all<{ event_nid: number }>(
      'SELECT event_nid FROM waiting_sticky_events WHERE event_nid > ? AND expires_ts > ? ORDER BY event_nid LIMIT ?',
      [after, now, limit],
    )
    return rows.map((row) => row.event_nid)
  }

  /**
   * Takes in some of those, which have come to readers at these positions. Whoever keeps the events in memory forgets
   * them after the commit.
   */
  async release(tx: Tx, events: readonly StickyEvent[]): Promise<void> {
    const nids = tx.dialect.list(events.map(({ eventNid }) => eventNid))
    const columns = { event_nid: 'integer', room_nid: 'integer', stream_ordering: 'integer' } as const
    const rows = events.map(({ eventNid, roomNid, streamOrdering }) => ({
      event_nid: eventNid,
      room_nid: roomNid,
      stream_ordering: streamOrdering,
    }))
    await tx.execute(
      `INSERT INTO sticky_events (stream_ordering, event_nid, room_nid, expires_ts)
       SELECT r.stream_ordering, r.event_nid, r.room_nid, w.expires_ts
       FROM ${tx.dialect.rowsFrom(columns)} AS r JOIN waiting_sticky_events w ON w.event_nid = r.event_nid`,
      [tx.dialect.rows(rows)],
    )
    await tx.execute(`UPDATE events SET soft_failed = 0 WHERE ${tx.dialect.anyOf('event_nid', 'integer')}`, [
      nids,
    ])
    await tx.execute(`DELETE FROM waiting_sticky_events WHERE ${tx.dialect.anyOf('event_nid', 'integer')}`, [
      nids,
    ])
  }

  /** Indexes sticky_events_expiry, waiting_sticky_events_expiry. */
  async deleteExpired(tx: Tx, now: number): Promise<void> {
    await tx.execute('DELETE FROM sticky_events WHERE expires_ts <= ?', [now])
    await tx.execute('DELETE FROM waiting_sticky_events WHERE expires_ts <= ?', [now])
  }
}

function toStickyEvent(row: Row): StickyEvent {
  return { eventNid: row.event_nid, roomNid: row.room_nid, streamOrdering: row.stream_ordering }
}
