import type { Tx } from '../database.js'
import type { Event } from '../../protocol/event.js'
import type { EventId } from '../../protocol/ids.js'

/** An event that redacts another, or that was redacted before it came. */
export interface RedactionWrite {
  readonly event: Event
  readonly eventNid: number
  readonly redaction: { readonly targetId: EventId; readonly applied: boolean } | undefined
  readonly redactedBy?: { readonly eventId: EventId; readonly eventNid: number } | undefined
}

/** Writes which events redact which, and takes away what is redacted. */
export async function writeRedactions(tx: Tx, writes: readonly RedactionWrite[]): Promise<void> {
  // In this order: both may be of one batch.
  await Promise.all([insertRedactions(tx, writes), markRedactions(tx, writes)])
}

/** Redactions that wait for their target apply now that it has come. */
async function markRedactions(tx: Tx, writes: readonly RedactionWrite[]): Promise<void> {
  const rows = writes.flatMap(({ event, redactedBy }) =>
    redactedBy ? [{ target_id: event.eventId, redaction_nid: redactedBy.eventNid }] : [],
  )
  if (rows.length === 0) return
  const source = tx.dialect.rowsFrom({ target_id: 'text', redaction_nid: 'integer' })
  await tx.execute(
    `UPDATE redactions SET applied = 1 FROM ${source} AS r
     WHERE redactions.target_id = r.target_id AND redactions.redaction_nid = r.redaction_nid`,
    [tx.dialect.rows(rows)],
  )
}

async function insertRedactions(tx: Tx, writes: readonly RedactionWrite[]): Promise<void> {
  const redactions = writes.flatMap(({ redaction, event, eventNid }) =>
    redaction ? [{ ...redaction, eventId: event.eventId, eventNid }] : [],
  )
  if (redactions.length === 0) return
  await tx.insertMany(
    'redactions',
    redactions.map((redaction) => ({
      target_id: redaction.targetId,
      redaction_nid: redaction.eventNid,
      applied: redaction.applied ? 1 : 0,
    })),
    { columns: { target_id: 'text', redaction_nid: 'integer', applied: 'integer' }, conflict: 'ignore' },
  )
  const applied = redactions.filter((redaction) => redaction.applied)
  if (applied.length === 0) return
  const source = tx.dialect.rowsFrom({ target_id: 'text', redaction_id: 'text' })
  await tx.execute(
    `UPDATE events SET redacted_by = r.redaction_id, notifies = 0 FROM ${source} AS r
     WHERE events.event_id = r.target_id AND events.redacted_by IS NULL`,
    [
      tx.dialect.rows(
        applied.map(({ targetId, eventId }) => ({ target_id: targetId, redaction_id: eventId })),
      ),
    ],
  )
}
