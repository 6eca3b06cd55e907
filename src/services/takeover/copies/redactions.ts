import type { Row, Tx } from '../../../storage/database.js'
import { isTrue, textOf, type SourceRows } from '../../../storage/synapse/rows.js'
import { serverNameOf } from '../../../protocol/ids.js'
import { eventNidOf } from '../source-events.js'
import { asRowsCopy, type RowsCopy } from '../table-copy.js'

const REDACTIONS: SourceRows = {
  table: 'redactions',
  columns: ['event_id', 'redacts'],
  extra: {
    stream_ordering: 'e.stream_ordering',
    sender: 'e.sender',
    room_id: 'e.room_id',
    metadata: 'j.internal_metadata',
    target_sender: 'o.sender',
    target_room: 'o.room_id',
    target_type: 'o.type',
  },
  join: `JOIN events e ON e.event_id = t.event_id JOIN event_json j ON j.event_id = t.event_id
    LEFT JOIN rejections r ON r.event_id = t.event_id LEFT JOIN events o ON o.event_id = t.redacts`,
  where: 'r.event_id IS NULL AND t.redacts IS NOT NULL',
  key: ['event_id'],
}

/** Which events redact which: by the rule of the source, which decides it again each time that an event is read. */
export const REDACTIONS_COPY: RowsCopy = asRowsCopy({
  what: 'redactions',
  from: REDACTIONS,
  into: 'redactions',
  options: {
    columns: { target_id: 'text', redaction_nid: 'integer', applied: 'integer' },
    conflict: 'ignore',
  },
  toRow: (row) => ({
    target_id: textOf(row['redacts']) ?? '',
    redaction_nid: eventNidOf(Number(row['stream_ordering'])),
    applied: isApplied(row) ? 1 : 0,
  }),
})

/** Marks the events that are redacted: by the first of those that apply. */
export async function markRedacted(tx: Tx): Promise<void> {
  await tx.execute(
    `UPDATE events SET redacted_by = f.event_id, notifies = 0
     FROM (SELECT r.target_id, MIN(r.redaction_nid) AS redaction_nid FROM redactions r
       WHERE r.applied = 1 GROUP BY r.target_id) AS m
       JOIN events AS f ON f.event_nid = m.redaction_nid
     WHERE events.event_id = m.target_id AND events.redacted_by IS NULL`,
  )
}

/** Where the authorization rules leave it open, somebody redacts what came from their own server. */
function isApplied(row: Row): boolean {
  const [sender, targetSender] = [textOf(row['sender']), textOf(row['target_sender'])]
  if (sender === undefined || targetSender === undefined) return false
  if (row['room_id'] !== row['target_room'] || row['target_type'] === 'm.room.create') return false
  return !needsCheck(row['metadata']) || serverNameOf(sender) === serverNameOf(targetSender)
}

function needsCheck(metadata: unknown): boolean {
  const { recheck_redaction: recheck } = JSON.parse(textOf(metadata) ?? '{}') as Record<string, unknown>
  return isTrue(recheck)
}
