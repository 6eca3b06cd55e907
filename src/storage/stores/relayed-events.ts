import type { Query, Tx } from '../database.js'
import type { ServerName } from '../../protocol/ids.js'

/**
 * Events of other servers' users that came through this server, which has to pass them on: joins, leaves and knocks
 * whose server is not in the room, or cannot know who else is.
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
}
