import type { Query, Tx } from '../database.js'

/** The snapshots before and after an event. */
export interface EventStates {
  readonly eventNid: number
  readonly before: number
  readonly after: number
}

/** Which states events follow and lead to: what changes when more becomes known of a room. */
export class EventStatesStore {
  /** Of the events of a room that came with a position or after it, in order. Index events_room_stream. */
  async listSince(q: Query, roomNid: number, streamOrdering: number): Promise<EventStates[]> {
    const rows = await q.all<{ event_nid: number; state_before: number; state_after: number }>(
      `SELECT event_nid, state_before, state_after FROM events
       WHERE room_nid = ? AND stream_ordering >= ? AND state_before IS NOT NULL AND state_after IS NOT NULL
       ORDER BY stream_ordering`,
      [roomNid, streamOrdering],
    )
    return rows.map((row) => ({ eventNid: row.event_nid, before: row.state_before, after: row.state_after }))
  }

  /**
   * Why each of some events is rejected, or null for those that are not any more. What is rejected notifies nobody.
   * Callers forget them as below.
   */
  async judge(tx: Tx, verdicts: ReadonlyMap<number, string | null>): Promise<void> {
    if (verdicts.size === 0) return
    const source = tx.dialect.rowsFrom({ event_nid: 'integer', rejected: 'text' })
    await tx.execute(
      `UPDATE events SET rejected = r.rejected,
         notifies = CASE WHEN r.rejected IS NULL THEN events.notifies ELSE 0 END
       FROM ${source} AS r WHERE events.event_nid = r.event_nid`,
      [tx.dialect.rows([...verdicts].map(([eventNid, rejected]) => ({ event_nid: eventNid, rejected })))],
    )
  }

  /** Whoever keeps the events in memory forgets them after the commit. */
  async update(tx: Tx, states: readonly EventStates[]): Promise<void> {
    if (states.length === 0) return
    const source = tx.dialect.rowsFrom({
      event_nid: 'integer',
      state_before: 'integer',
      state_after: 'integer',
    })
    await tx.execute(
      `UPDATE events SET state_before = r.state_before, state_after = r.state_after
       FROM ${source} AS r WHERE events.event_nid = r.event_nid`,
      [
        tx.dialect.rows(
          states.map(({ eventNid, before, after }) => ({
            event_nid: eventNid,
            state_before: before,
            state_after: after,
          })),
        ),
      ],
    )
  }
}
