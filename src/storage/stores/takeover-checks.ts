import type { Query } from '../database.js'
import { newestPerGroup } from '../newest-per-group.js'
import { stateKeyOf } from '../../protocol/state-map.js'
import { pushTo } from '../../util/group-by.js'

/** Reads what has been copied, to be held against where it came from. */
export class TakeoverChecksStore {
  /** The current states of rooms by nid: event IDs by (type, state key). */
  async readCurrentStates(q: Query, roomNids: readonly number[]): Promise<Map<number, Map<string, string>>> {
    const rows = await q.all<{ room_nid: number; type: string; state_key: string; event_id: string }>(
      `SELECT s.room_nid, s.type, s.state_key, e.event_id
       FROM current_state s JOIN events e ON e.event_nid = s.event_nid
       WHERE ${q.dialect.anyOf('s.room_nid', 'integer')}`,
      [q.dialect.list(roomNids)],
    )
    const states = new Map<number, Map<string, string>>()
    for (const row of rows) {
      let state = states.get(row.room_nid)
      if (!state) states.set(row.room_nid, (state = new Map<string, string>()))
      state.set(stateKeyOf(row.type, row.state_key), row.event_id)
    }
    return states
  }

  /** How many events rooms have, by nid. */
  async countEvents(
    q: Query,
    roomNids: readonly number[],
  ): Promise<Map<number, { events: number; outliers: number; rejected: number }>> {
    const rows = await q.all<{ room_nid: number; events: number; placed: number; rejected: number }>(
      `SELECT room_nid, COUNT(*) AS events, COUNT(stream_ordering) AS placed, COUNT(rejected) AS rejected
       FROM events WHERE ${q.dialect.anyOf('room_nid', 'integer')} GROUP BY room_nid`,
      [q.dialect.list(roomNids)],
    )
    return new Map(
      rows.map(({ room_nid: nid, events, placed, rejected }) => [
        nid,
        { events, outliers: events - placed, rejected },
      ]),
    )
  }

  /** The snapshots after the ends of rooms, by nid. */
  async listEnds(q: Query, roomNids: readonly number[]): Promise<Map<number, (number | undefined)[]>> {
    const rows = await q.all<{ room_nid: number; state_after: number | null }>(
      `SELECT f.room_nid, e.state_after FROM forward_extremities f LEFT JOIN events e ON e.event_nid = f.event_nid
       WHERE ${q.dialect.anyOf('f.room_nid', 'integer')}`,
      [q.dialect.list(roomNids)],
    )
    const ends = new Map<number, (number | undefined)[]>()
    for (const row of rows) pushTo(ends, row.room_nid, row.state_after ?? undefined)
    return ends
  }

  async eventIds(q: Query, eventNids: readonly number[]): Promise<Map<number, string>> {
    const rows = await q.all<{ event_nid: number; event_id: string }>(
      `SELECT event_nid, event_id FROM events WHERE ${q.dialect.anyOf('event_nid', 'integer')}`,
      [q.dialect.list(eventNids)],
    )
    return new Map(rows.map((row) => [row.event_nid, row.event_id]))
  }

  /** The newest events of each room, by nid. Index events_room_stream. */
  async sampleEvents(q: Query, roomNids: readonly number[], limit: number): Promise<number[]> {
    const source = newestPerGroup(q.dialect, {
      groups: q.dialect.rowsFrom({ room_nid: 'integer', position: 'integer' }),
      table: 'events',
      match: 't.room_nid = g.room_nid',
      order: 'stream_ordering',
      limit,
    })
    const rows = await q.all<{ event_nid: number }>(`SELECT t.event_nid FROM ${source}`, [
      q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid, position: Number.MIN_SAFE_INTEGER }))),
    ])
    return rows.map((row) => row.event_nid)
  }
}
