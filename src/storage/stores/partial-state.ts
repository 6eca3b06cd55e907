import type { Query, Tx } from '../database.js'
import type { ServerName } from '../../protocol/ids.js'

/** A room whose state lacks members. */
export interface PartialStateRoom {
  readonly roomNid: number
  /** The event by which this server came in. */
  readonly joinNid: number
  /** Who was in the room then, the server that was joined through first. */
  readonly servers: readonly ServerName[]
}

interface Row {
  room_nid: number
  join_nid: number
  servers: string
}

/** The rooms that this server has joined without all of their state. */
export class PartialStateStore {
  async listAll(q: Query): Promise<PartialStateRoom[]> {
    const rows = await q.all<Row>(
      'SELECT room_nid, join_nid, servers FROM partial_state_rooms ORDER BY room_nid',
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      joinNid: row.join_nid,
      servers: JSON.parse(row.servers) as ServerName[],
    }))
  }

  async insert(tx: Tx, room: PartialStateRoom, joinedTs: number): Promise<void> {
    await tx.execute(
      `INSERT INTO partial_state_rooms (room_nid, join_nid, servers, joined_ts) VALUES (?, ?, ?, ?)
       ON CONFLICT (room_nid) DO UPDATE SET join_nid = excluded.join_nid, servers = excluded.servers`,
      [room.roomNid, room.joinNid, JSON.stringify(room.servers), joinedTs],
    )
  }

  async delete(tx: Tx, roomNid: number): Promise<void> {
    await tx.execute('DELETE FROM partial_state_rooms WHERE room_nid = ?', [roomNid])
  }

  /** Since which position of the events stream the states of rooms are whole that were not. */
  async listCompleted(q: Query): Promise<Map<number, number>> {
    const rows = await q.all<{ room_nid: number; stream_ordering: number }>(
      'SELECT room_nid, stream_ordering FROM completed_rooms',
    )
    return new Map(rows.map((row) => [row.room_nid, row.stream_ordering]))
  }

  async setCompleted(tx: Tx, roomNid: number, streamOrdering: number): Promise<void> {
    await tx.execute(
      `INSERT INTO completed_rooms (room_nid, stream_ordering) VALUES (?, ?)
       ON CONFLICT (room_nid) DO UPDATE SET stream_ordering = excluded.stream_ordering`,
      [roomNid, streamOrdering],
    )
  }
}
