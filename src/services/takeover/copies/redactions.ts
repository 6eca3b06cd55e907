import type { Row, Tx } from '../../../storage/database.js'
import { isTrue, readPages, textOf } from '../../../storage/synapse/rows.js'
import type { SynapseSource } from '../../../storage/synapse/source.js'
import { serverNameOf } from '../../../protocol/ids.js'
import { eventNidOf } from '../source-events.js'

/**
 * Copies which events redact which, and marks those that are redacted: by the rule of the source, which decides it again
 * each time that an event is read. Returns how many redactions there are.
 */
export async function copyRedactions(tx: Tx, source: SynapseSource): Promise<number> {
  let copied = 0
  const pages = readPages(source, {
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
  })
  for await (const page of pages) {
    const rows = page.map((row) => ({
      target_id: textOf(row['redacts']) ?? '',
      redaction_nid: eventNidOf(Number(row['stream_ordering'])),
      redaction_id: textOf(row['event_id']) ?? '',
      applied: isApplied(row) ? 1 : 0,
    }))
    await tx.insertMany('redactions', rows, {
      columns: { target_id: 'text', redaction_nid: 'integer', applied: 'integer' },
      conflict: 'ignore',
    })
    await mark(
      tx,
      rows.filter((row) => row.applied === 1),
    )
    copied += page.length
  }
  return copied
}

async function mark(
  tx: Tx,
  rows: readonly { readonly target_id: string; readonly redaction_id: string }[],
): Promise<void> {
  if (rows.length === 0) return
  const source = tx.dialect.rowsFrom({ target_id: 'text', redaction_id: 'text' })
  await tx.execute(
    `UPDATE events SET redacted_by = r.redaction_id, notifies = 0 FROM ${source} AS r
     WHERE events.event_id = r.target_id AND events.redacted_by IS NULL`,
    [tx.dialect.rows(rows.map(({ target_id, redaction_id }) => ({ target_id, redaction_id })))],
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
