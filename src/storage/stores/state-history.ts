import type { Query } from '../database.js'

/** What the current state of rooms was at positions of the events stream. */
export class StateHistoryStore {
  /**
   * The events that held the state of one type at a position, for as long as this server has been in the room. By
   * primary key prefix of the changes.
   */
  async listAt(q: Query, roomNid: number, streamOrdering: number, type: string): Promise<number[]> {
    const rows = await q.all<{ event_nid: number }>(
      `SELECT d.event_nid FROM
         (SELECT c.state_key, MAX(c.stream_ordering) AS changed_at FROM current_state_deltas c
          WHERE c.room_nid = ? AND c.type = ? AND c.stream_ordering <= ? GROUP BY c.state_key) AS l
       JOIN current_state_deltas d ON d.room_nid = ? AND d.stream_ordering = l.changed_at AND d.type = ?
         AND d.state_key = l.state_key
       WHERE d.event_nid IS NOT NULL`,
      [roomNid, type, streamOrdering, roomNid, type],
    )
    return rows.map((row) => row.event_nid)
  }
}
