import type { Query } from '../database.js'

/** Which events of a room have to do with each other, for people who want to know why something is so. */
export class RoomExplanationStore {
  /** The newest events of all that were sent for one piece of state, whatever became of them. Reads the room's events. */
  async listCandidates(
    q: Query,
    roomNid: number,
    { type, stateKey }: { readonly type: string; readonly stateKey: string },
    limit: number,
  ): Promise<number[]> {
    const rows = await q.all<{ event_nid: number }>(
      `SELECT event_nid FROM events WHERE room_nid = ? AND type = ? AND state_key = ?
       ORDER BY depth DESC, event_nid DESC LIMIT ?`,
      [roomNid, type, stateKey, limit],
    )
    return rows.map((row) => row.event_nid)
  }

  /** Accepted events of the timeline that name one of these as previous event, the first first. By primary key prefix. */
  async listFollowers(q: Query, eventNids: readonly number[], limit: number): Promise<number[]> {
    if (eventNids.length === 0) return []
    const rows = await q.all<{ event_nid: number }>(
      `SELECT DISTINCT d.event_nid, e.depth FROM event_edges d JOIN events e ON e.event_nid = d.event_nid
       WHERE ${q.dialect.anyOf('d.prev_nid', 'integer')} AND e.rejected IS NULL
         AND e.stream_ordering IS NOT NULL
       ORDER BY e.depth, d.event_nid LIMIT ?`,
      [q.dialect.list(eventNids), limit],
    )
    return rows.map((row) => row.event_nid)
  }
}
