import type { Query, Tx } from '../database.js'
import type { ServerName } from '../../protocol/ids.js'

/** A room of which a destination has not been told something. */
export interface MissedRoom {
  readonly destination: ServerName
  readonly roomNid: number
  /** The stream ordering of the newest event that is known to be missed. */
  readonly missedAt: number
  /** The destination has left the room with that event, and gets none after it. */
  readonly isLast: boolean
}

interface Row {
  destination: string
  room_nid: number
  missed_at: number
  is_last: number
}

/** What destinations that cannot be reached have missed: by room, not by event. */
export class MissedRoomsStore {
  /** Each instead of the row of the same destination and room. */
  async put(tx: Tx, missed: readonly MissedRoom[]): Promise<void> {
    await tx.insertMany(
      'missed_rooms',
      missed.map(({ destination, roomNid, missedAt, isLast }) => ({
        destination,
        room_nid: roomNid,
        missed_at: missedAt,
        is_last: isLast ? 1 : 0,
      })),
      {
        columns: { destination: 'text', room_nid: 'integer', missed_at: 'integer', is_last: 'integer' },
        conflict: { key: ['destination', 'room_nid'], update: ['missed_at', 'is_last'] },
      },
    )
  }

  /** Some rooms of a destination. By primary key prefix. */
  async list(q: Query, destination: ServerName, limit: number): Promise<MissedRoom[]> {
    const rows = await q.all<Row>(
      'SELECT * FROM missed_rooms WHERE destination = ? ORDER BY room_nid LIMIT ?',
      [destination, limit],
    )
    return rows.map((row) => ({
      destination: row.destination as ServerName,
      roomNid: row.room_nid,
      missedAt: row.missed_at,
      isLast: row.is_last === 1,
    }))
  }

  /** Forgets rooms that the destination has caught up with: of each what it missed up to `upTo`. */
  async delete(
    tx: Tx,
    destination: ServerName,
    rooms: readonly { readonly roomNid: number; readonly upTo: number }[],
  ): Promise<void> {
    if (rooms.length === 0) return
    await tx.execute(
      `DELETE FROM missed_rooms WHERE destination = ? AND EXISTS (
         SELECT 1 FROM ${tx.dialect.rowsFrom({ room_nid: 'integer', up_to: 'integer' })} AS r
         WHERE r.room_nid = missed_rooms.room_nid AND missed_rooms.missed_at <= r.up_to)`,
      [destination, tx.dialect.rows(rooms.map(({ roomNid, upTo }) => ({ room_nid: roomNid, up_to: upTo })))],
    )
  }

  /** Everybody who has missed something. By primary key. */
  async listDestinations(q: Query): Promise<ServerName[]> {
    const rows = await q.all<{ destination: string }>('SELECT DISTINCT destination FROM missed_rooms')
    return rows.map((row) => row.destination as ServerName)
  }

  /**
   * Of each room the newest event, at or after a position, that this server has to tell others: its own and those that
   * it relays. Index events_room_stream; `localPattern` is `%:` and our name, with `!` before what LIKE would read.
   */
  async newestEvents(
    q: Query,
    rooms: readonly { readonly roomNid: number; readonly from: number }[],
    localPattern: string,
  ): Promise<Map<number, { eventNid: number; streamOrdering: number }>> {
    if (rooms.length === 0) return new Map()
    const rows = await q.all<{ room_nid: number; event_nid: number; stream_ordering: number }>(
      `SELECT e.room_nid, e.event_nid, e.stream_ordering
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer', low: 'integer' })} AS r CROSS JOIN events e
       WHERE e.stream_ordering = (
         SELECT n.stream_ordering FROM events n
         WHERE n.room_nid = r.room_nid AND n.stream_ordering >= r.low AND n.rejected IS NULL AND n.soft_failed = 0
           AND (n.sender LIKE ? ESCAPE '!' OR EXISTS (
             SELECT 1 FROM relayed_events p WHERE p.event_nid = n.event_nid))
         ORDER BY n.stream_ordering DESC LIMIT 1)`,
      [q.dialect.rows(rooms.map(({ roomNid, from }) => ({ room_nid: roomNid, low: from }))), localPattern],
    )
    return new Map(
      rows.map((row) => [row.room_nid, { eventNid: row.event_nid, streamOrdering: row.stream_ordering }]),
    )
  }

  /** The events at these positions: their nids by stream ordering. Index events_stream. */
  async eventsAt(q: Query, streamOrderings: readonly number[]): Promise<Map<number, number>> {
    if (streamOrderings.length === 0) return new Map()
    const rows = await q.all<{ event_nid: number; stream_ordering: number }>(
      `SELECT event_nid, stream_ordering FROM events WHERE ${q.dialect.anyOf('stream_ordering', 'integer')}`,
      [q.dialect.list(streamOrderings)],
    )
    return new Map(rows.map((row) => [row.stream_ordering, row.event_nid]))
  }
}
