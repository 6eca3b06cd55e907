import type { Query } from '../database.js'
import type { EventId } from '../../protocol/ids.js'

/** Which events redact which. Rows are written with the events, by the event writer. */
export class RedactionsStore {
  /**
   * Redactions of an event that have not taken its content away: they came before it, or were not allowed. In the order
   * in which they came. By primary key prefix.
   */
  async listUnapplied(q: Query, targetId: EventId): Promise<number[]> {
    const rows = await q.all<{ redaction_nid: number }>(
      'SELECT redaction_nid FROM redactions WHERE target_id = ? AND applied = 0 ORDER BY redaction_nid',
      [targetId],
    )
    return rows.map((row) => row.redaction_nid)
  }

  /** Those of the events of which there are such redactions. By primary key prefix. */
  async listTargets(q: Query, targetIds: readonly EventId[]): Promise<Set<EventId>> {
    const rows = await q.all<{ target_id: string }>(
      `SELECT DISTINCT target_id FROM redactions WHERE ${q.dialect.anyOf('target_id', 'text')} AND applied = 0`,
      [q.dialect.list(targetIds)],
    )
    return new Set(rows.map((row) => row.target_id as EventId))
  }
}
