import type { Query, Tx } from '../database.js'

/** An event whose content a redaction has taken away from readers, but not from the database yet. */
export interface RedactedEvent {
  readonly eventNid: number
  readonly eventId: string
  readonly roomNid: number
  /** As it is stored: whole. */
  readonly json: string
}

/** A redaction that has been applied. */
export interface AppliedRedaction {
  readonly targetId: string
  readonly redactionNid: number
  /** Undefined where nothing of the target is held any more. */
  readonly target: RedactedEvent | undefined
}

interface Row {
  target_id: string
  redaction_nid: number
  event_nid: number | null
  room_nid: number | null
  json: string | null
}

/** What redacted events still have in the database. */
export class RedactedContentStore {
  /**
   * Redactions received before a time whose targets are still whole: those among the oldest `limit`, which is all of them
   * where there are fewer. Index redactions_unpruned.
   */
  async listDue(
    q: Query,
    { beforeTs, limit }: { beforeTs: number; limit: number },
  ): Promise<AppliedRedaction[]> {
    // Redactions have their nids in the order in which they came: whatever is due is among the first. One that is held no
    // more came long ago.
    const rows = await q.all<Row>(
      `SELECT r.target_id, r.redaction_nid, e.event_nid, e.room_nid, e.json
       FROM (SELECT target_id, redaction_nid FROM redactions WHERE applied = 1 AND pruned = 0
             ORDER BY redaction_nid LIMIT ?) AS r
       LEFT JOIN events s ON s.event_nid = r.redaction_nid
       LEFT JOIN events e ON e.event_id = r.target_id AND e.redacted_by IS NOT NULL
       WHERE s.received_ts IS NULL OR s.received_ts < ?`,
      [limit, beforeTs],
    )
    return rows.map((row) => ({
      targetId: row.target_id,
      redactionNid: row.redaction_nid,
      target:
        row.event_nid === null
          ? undefined
          : { eventNid: row.event_nid, eventId: row.target_id, roomNid: row.room_nid!, json: row.json! },
    }))
  }

  /** Stores events in the form that is left of them, as JSON by nid, and notes that these redactions are done with. */
  async prune(
    tx: Tx,
    redactions: readonly AppliedRedaction[],
    texts: ReadonlyMap<number, string>,
  ): Promise<void> {
    const { dialect } = tx
    if (texts.size > 0) {
      const events = [...texts].map(([event_nid, json]) => ({ event_nid, json }))
      await tx.execute(
        `UPDATE events SET json = r.json, contains_url = 0
         FROM ${dialect.rowsFrom({ event_nid: 'integer', json: 'text' })} AS r
         WHERE events.event_nid = r.event_nid`,
        [dialect.rows(events)],
      )
    }
    const done = redactions.map(({ targetId, redactionNid }) => ({
      target_id: targetId,
      redaction_nid: redactionNid,
    }))
    await tx.execute(
      `UPDATE redactions SET pruned = 1
       FROM ${dialect.rowsFrom({ target_id: 'text', redaction_nid: 'integer' })} AS r
       WHERE redactions.target_id = r.target_id AND redactions.redaction_nid = r.redaction_nid`,
      [dialect.rows(done)],
    )
  }
}
