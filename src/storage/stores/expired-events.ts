import type { Query, Tx } from '../database.js'
import { RETENTION_TYPE } from '../../protocol/retention.js'
import { EventRemoval, type EventRemovalStores } from './event-removal.js'

/** Messages whose time is over. */
export class ExpiredEventsStore {
  readonly #stores: EventRemovalStores
  readonly #removal: EventRemoval

  constructor(stores: EventRemovalStores) {
    this.#stores = stores
    this.#removal = new EventRemoval(stores)
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

  /** Deletes messages of one room with all that hangs on them alone. Nothing says that there was something. */
  async delete(tx: Tx, eventNids: readonly number[]): Promise<void> {
    if (eventNids.length === 0) return
    const { events } = this.#stores
    const expired = [...(await events.getByNids(tx, eventNids)).values()]
    await this.#removal.takeOut(tx, expired)
    const edges = `DELETE FROM event_edges WHERE ${tx.dialect.anyOf('prev_nid', 'integer')}`
    await tx.execute(edges, [tx.dialect.list(eventNids)])
    await this.#removal.delete(tx, expired)
  }
}
