import type { Query } from '../database.js'
import { nidsByRoom, type NidsRow } from '../nid-lists.js'

/** A stretch of a room: after one position of the events stream, up to and including another. */
export interface TimelineWindow {
  readonly roomNid: number
  readonly after: number
  readonly upTo: number
}

/** The history of a room as of a position of the stream; with `before`, what is older than that event. */
export interface HistoryWindow {
  readonly roomNid: number
  readonly upTo: number
  readonly before?: { readonly depth: number; readonly streamOrdering: number } | undefined
}

/** An event as the stream lists it. */
export interface StreamRow {
  readonly roomNid: number
  readonly eventNid: number
  readonly streamOrdering: number
}

interface Row {
  room_nid: number
  event_nid: number
  stream_ordering: number
}

/** The last events of many rooms at once, as nids: indexes alone answer, and events come from their cache. */
export class TimelinesStore {
  /** The newest events of each stretch by position of the stream, at most `limit` of each. Index events_room_stream. */
  async listLatest(
    q: Query,
    windows: readonly TimelineWindow[],
    limit: number,
  ): Promise<Map<number, number[]>> {
    const source = q.dialect.rowsFrom({ room_nid: 'integer', low: 'integer', high: 'integer' })
    const rows = await q.all<NidsRow>(
      `SELECT r.room_nid, (
         SELECT string_agg(CAST(n.event_nid AS text), ',') FROM (
           SELECT e.event_nid FROM events e
           WHERE e.room_nid = r.room_nid AND e.stream_ordering > r.low AND e.stream_ordering <= r.high
           ORDER BY e.stream_ordering DESC LIMIT ?) AS n) AS nids
       FROM ${source} AS r`,
      [
        limit,
        q.dialect.rows(
          windows.map(({ roomNid, after, upTo }) => ({ room_nid: roomNid, low: after, high: upTo })),
        ),
      ],
    )
    return nidsByRoom(rows)
  }

  /** The newest events of each room in topological order, at most `limit` of each. Index events_room_depth. */
  async listHistory(
    q: Query,
    windows: readonly HistoryWindow[],
    limit: number,
  ): Promise<Map<number, number[]>> {
    const source = q.dialect.rowsFrom({
      room_nid: 'integer',
      high: 'integer',
      depth: 'integer',
      position: 'integer',
    })
    const rows = await q.all<NidsRow>(
      `SELECT r.room_nid, (
         SELECT string_agg(CAST(n.event_nid AS text), ',') FROM (
           SELECT e.event_nid FROM events e
           WHERE e.room_nid = r.room_nid AND e.stream_ordering <= r.high
             AND (e.depth, e.stream_ordering) < (r.depth, r.position)
           ORDER BY e.depth DESC, e.stream_ordering DESC LIMIT ?) AS n) AS nids
       FROM ${source} AS r`,
      [
        limit,
        q.dialect.rows(
          windows.map(({ roomNid, upTo, before }) => ({
            room_nid: roomNid,
            high: upTo,
            depth: before?.depth ?? Number.MAX_SAFE_INTEGER,
            position: before?.streamOrdering ?? Number.MAX_SAFE_INTEGER,
          })),
        ),
      ],
    )
    return nidsByRoom(rows)
  }

  /** All events of a stretch of the stream, in order. Index events_stream. */
  async listStream(q: Query, after: number, upTo: number): Promise<StreamRow[]> {
    const rows = await q.all<Row>(
      `SELECT room_nid, event_nid, stream_ordering FROM events
       WHERE stream_ordering > ? AND stream_ordering <= ? ORDER BY stream_ordering`,
      [after, upTo],
    )
    return rows.map(toRow)
  }

  /**
   * All events of a stretch of the stream, in order, with the memberships of local users in rooms that this server is not
   * in: these events have no position, but their changes have. Indexes events_stream, current_state_deltas_stream.
   */
  async listStreamWithOutside(q: Query, after: number, upTo: number): Promise<StreamRow[]> {
    const rows = await q.all<Row>(
      `SELECT room_nid, event_nid, stream_ordering FROM events
       WHERE stream_ordering > ? AND stream_ordering <= ?
       UNION ALL
       SELECT d.room_nid, d.event_nid, d.stream_ordering
       FROM current_state_deltas d
         JOIN events e ON e.event_nid = d.event_nid
         JOIN local_memberships l ON l.room_nid = d.room_nid AND l.user_id = d.state_key
           AND l.stream_ordering = d.stream_ordering
       WHERE d.stream_ordering > ? AND d.stream_ordering <= ? AND d.type = 'm.room.member'
         AND e.stream_ordering IS NULL
       ORDER BY 3`,
      [after, upTo, after, upTo],
    )
    return rows.map(toRow)
  }

  /** Which of the events follow others that this server does not hold. Indexes missing_events_room, event_edges. */
  async listAfterGaps(
    q: Query,
    roomNids: readonly number[],
    eventNids: readonly number[],
  ): Promise<Set<number>> {
    const rows = await q.all<{ event_nid: number }>(
      `SELECT DISTINCT d.event_nid FROM missing_events m JOIN event_edges d ON d.prev_nid = m.event_nid
       WHERE ${q.dialect.anyOf('m.room_nid', 'integer')} AND ${q.dialect.anyOf('d.event_nid', 'integer')}`,
      [q.dialect.list(roomNids), q.dialect.list(eventNids)],
    )
    return new Set(rows.map((row) => row.event_nid))
  }
}

function toRow(row: Row): StreamRow {
  return { roomNid: row.room_nid, eventNid: row.event_nid, streamOrdering: row.stream_ordering }
}
