import type { Query, Tx } from '../database.js'
import type { ServerName } from '../../protocol/ids.js'

/**
 * Events of other servers' users that came through this server, which has to pass them on: joins, leaves and knocks
 * whose server is not in the room, or cannot know who else is; and joins of our users that another server has helped to.
 */
export class RelayedEventsStore {
  /** `origin`: the server that has sent the event, and has it therefore. */
  async insert(tx: Tx, eventNid: number, origin: ServerName): Promise<void> {
    await tx.insertMany('relayed_events', [{ event_nid: eventNid, origin }], {
      columns: { event_nid: 'integer', origin: 'text' },
      conflict: 'ignore',
    })
  }

  /** Which of the events are to be passed on, with who has sent them. By primary key. */
  async list(q: Query, eventNids: readonly number[]): Promise<Map<number, ServerName>> {
    if (eventNids.length === 0) return new Map()
    const rows = await q.all<{ event_nid: number; origin: string }>(
      `SELECT event_nid, origin FROM relayed_events WHERE ${q.dialect.anyOf('event_nid', 'integer')}`,
      [q.dialect.list(eventNids)],
    )
    return new Map(rows.map((row) => [row.event_nid, row.origin as ServerName]))
  }

  /**
   * Forgets those at or below a position of the events stream up to which everything is with its destinations or written
   * down as missed; but for what somebody may yet be told who has missed something of the room.
   */
  async deleteSettled(tx: Tx, upTo: number): Promise<void> {
    await tx.execute(
      `DELETE FROM relayed_events WHERE event_nid IN (
         SELECT r.event_nid FROM relayed_events r LEFT JOIN events e ON e.event_nid = r.event_nid
         WHERE e.event_nid IS NULL OR (e.stream_ordering <= ? AND NOT EXISTS (
           SELECT 1 FROM missed_rooms m WHERE m.room_nid = e.room_nid AND m.missed_at <= e.stream_ordering)))`,
      [upTo],
    )
  }
}
