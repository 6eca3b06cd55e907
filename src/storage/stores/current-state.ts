import type { Query } from '../database.js'
import { nidsByRoom, type NidsRow } from '../nid-lists.js'

export interface CurrentStateEntry {
  readonly roomNid: number
  readonly type: string
  readonly stateKey: string
  readonly eventNid: number
}

interface Row {
  room_nid: number
  type: string
  state_key: string
  event_nid: number
}

const COLUMNS = 's.room_nid, s.type, s.state_key, s.event_nid'

/** The current state of rooms, flat: narrow questions are answered without a snapshot. */
export class CurrentStateStore {
  /** The event that holds one piece of state. By primary key. */
  async get(q: Query, roomNid: number, type: string, stateKey: string): Promise<number | undefined> {
    const row = await q.first<{ event_nid: number }>(
      'SELECT event_nid FROM current_state WHERE room_nid = ? AND type = ? AND state_key = ?',
      [roomNid, type, stateKey],
    )
    return row?.event_nid
  }

  /** The whole state of a room, or the state of some types. By primary key prefix. */
  async list(q: Query, roomNid: number, types?: readonly string[]): Promise<CurrentStateEntry[]> {
    const narrowed = types ? ` AND ${q.dialect.anyOf('s.type', 'text')}` : ''
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM current_state s WHERE s.room_nid = ?${narrowed} ORDER BY s.type, s.state_key`,
      types ? [roomNid, q.dialect.list(types)] : [roomNid],
    )
    return rows.map(toEntry)
  }

  /** How many pieces a room's state has. By primary key prefix. */
  async count(q: Query, roomNid: number): Promise<number> {
    const row = await q.first<{ n: number }>('SELECT COUNT(*) AS n FROM current_state WHERE room_nid = ?', [
      roomNid,
    ])
    return row?.n ?? 0
  }

  /** The whole state of many rooms. */
  async listForRooms(q: Query, roomNids: readonly number[]): Promise<CurrentStateEntry[]> {
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM current_state s WHERE ${q.dialect.anyOf('s.room_nid', 'integer')}`,
      [q.dialect.list(roomNids)],
    )
    return rows.map(toEntry)
  }

  /** The events of the whole state of many rooms, by nid of the room. */
  async listNids(q: Query, roomNids: readonly number[]): Promise<Map<number, number[]>> {
    const rows = await q.all<NidsRow>(
      `SELECT s.room_nid, string_agg(CAST(s.event_nid AS text), ',') AS nids FROM current_state s
       WHERE ${q.dialect.anyOf('s.room_nid', 'integer')} GROUP BY s.room_nid`,
      [q.dialect.list(roomNids)],
    )
    return nidsByRoom(rows)
  }

  /** The state of some types of many rooms, of each type up to `limit` pieces of a room. By primary key prefix. */
  async listFew(
    q: Query,
    { roomNids, types, limit }: { roomNids: readonly number[]; types: readonly string[]; limit: number },
  ): Promise<CurrentStateEntry[]> {
    const wanted = roomNids.flatMap((roomNid) => types.map((type) => ({ room_nid: roomNid, type })))
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS}
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer', type: 'text' })} AS r
       JOIN current_state s ON s.room_nid = r.room_nid AND s.type = r.type AND s.state_key IN (
         SELECT f.state_key FROM current_state f WHERE f.room_nid = r.room_nid AND f.type = r.type
         ORDER BY f.state_key LIMIT ?)`,
      [q.dialect.rows(wanted), limit],
    )
    return rows.map(toEntry)
  }

  /** The same few pieces of state of many rooms. */
  async getForRooms(
    q: Query,
    roomNids: readonly number[],
    keys: readonly (readonly [type: string, stateKey: string])[],
  ): Promise<CurrentStateEntry[]> {
    return this.pick(
      q,
      roomNids.flatMap((roomNid) => keys.map(([type, stateKey]) => ({ roomNid, type, stateKey }))),
    )
  }

  /** Some pieces of state, each of its room. By primary key. */
  async pick(q: Query, pieces: readonly Omit<CurrentStateEntry, 'eventNid'>[]): Promise<CurrentStateEntry[]> {
    const wanted = pieces.map(({ roomNid, type, stateKey }) => ({
      room_nid: roomNid,
      type,
      state_key: stateKey,
    }))
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS}
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer', type: 'text', state_key: 'text' })} AS r
       JOIN current_state s ON s.room_nid = r.room_nid AND s.type = r.type AND s.state_key = r.state_key`,
      [q.dialect.rows(wanted)],
    )
    return rows.map(toEntry)
  }
}

function toEntry(row: Row): CurrentStateEntry {
  return { roomNid: row.room_nid, type: row.type, stateKey: row.state_key, eventNid: row.event_nid }
}
