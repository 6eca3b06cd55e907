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
}
