import type { Query, Tx } from '../database.js'
import { RETENTION_TYPE } from '../../protocol/retention.js'
import type { EventSearchStore } from './event-search.js'
import type { EventsStore } from './events.js'

interface Stores {
  readonly events: EventsStore
  readonly eventSearch: EventSearchStore
}

/** Messages whose time is over. */
export class ExpiredEventsStore {
  readonly #stores: Stores

  constructor(stores: Stores) {
    this.#stores = stores
  }

  /** Rooms after one, in the order of their nids: all of them, or those with a policy of their own. */
  async listRooms(
    q: Query,
    { after, limit, onlyWithPolicy }: { after: number; limit: number; onlyWithPolicy: boolean },
  ): Promise<number[]> {
    const policy = onlyWithPolicy
      ? 'JOIN current_state s ON s.room_nid = r.room_nid AND s.type = ? AND s.state_key = ?'
      : ''
    const rows = await q.all<{ room_nid: number }>(
      `SELECT r.room_nid FROM rooms r ${policy} WHERE r.room_nid > ? ORDER BY r.room_nid LIMIT ?`,
      [...(onlyWithPolicy ? [RETENTION_TYPE, ''] : []), after, limit],
    )
    return rows.map((row) => row.room_nid)
  }

  /**
   * Messages of a room from before a time, both as their senders say and as this server received them. The ends of the
   * room's history stay: new events refer to them. Index events_room_ts.
   */
  async listExpired(q: Query, roomNid: number, beforeTs: number, limit: number): Promise<number[]> {
    const rows = await q.all<{ event_nid: number }>(
      `SELECT e.event_nid FROM events e
       WHERE e.room_nid = ? AND e.origin_server_ts < ? AND e.received_ts < ? AND e.state_key IS NULL
         AND e.stream_ordering IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM forward_extremities x WHERE x.room_nid = e.room_nid AND x.event_nid = e.event_nid)
       ORDER BY e.origin_server_ts LIMIT ?`,
      [roomNid, beforeTs, beforeTs, limit],
    )
    return rows.map((row) => row.event_nid)
  }

  /** Deletes events with all that hangs on them alone. */
  async delete(tx: Tx, eventNids: readonly number[]): Promise<void> {
    if (eventNids.length === 0) return
    const { events, eventSearch } = this.#stores
    const list = tx.dialect.list(eventNids)
    const among = (column: string): string => tx.dialect.anyOf(column, 'integer')
    await tx.execute(
      `DELETE FROM redactions WHERE target_id IN (SELECT event_id FROM events WHERE ${among('event_nid')})`,
      [list],
    )
    await tx.execute(`DELETE FROM event_edges WHERE ${among('prev_nid')}`, [list])
    await tx.execute(`DELETE FROM event_txns WHERE ${among('event_nid')}`, [list])
    await eventSearch.remove(tx, eventNids)
    await tx.execute(`DELETE FROM events WHERE ${among('event_nid')}`, [list])
    tx.afterCommit(() => {
      for (const eventNid of eventNids) events.forget(eventNid)
    })
  }
}
