import { countRows, numberOf, textOf } from '../../../storage/synapse/rows.js'
import type { SynapseSource } from '../../../storage/synapse/source.js'
import type { CopyFacts, OwnRow, RowsCopy } from '../table-copy.js'

const STATES = 'application_services_state'

/**
 * How far application services have been told of the streams. Events of transactions that a service has not taken are
 * told again.
 */
export const APPSERVICES_COPY: RowsCopy = {
  what: 'application services',
  into: 'appservice_state',
  options: { columns: { appservice_id: 'text', positions: 'text', last_txn_id: 'integer' } },
  count: (source) => countRows(source, { table: STATES }),
  async *make(source, facts) {
    const rows = await readServices(source, facts)
    yield { read: rows.length, rows }
  },
}

async function readServices(
  { q, schema }: SynapseSource,
  { now, newestPosition }: CopyFacts,
): Promise<OwnRow[]> {
  if (!schema.hasTable(STATES)) return []
  const optional = (column: string): string =>
    schema.hasColumn(STATES, column) ? column : `NULL AS ${column}`
  const rows = await q.all(
    `SELECT as_id, read_receipt_stream_id, presence_stream_id, ${optional('to_device_stream_id')},
       ${optional('device_list_stream_id')} FROM application_services_state`,
  )
  const position = await q.first<{ position: number | null }>(
    'SELECT MAX(stream_ordering) AS position FROM appservice_stream_position',
  )
  const done = Math.min(position?.position ?? newestPosition, newestPosition)
  const untold = await firstUntold(q)
  return rows.map((row) => {
    const id = textOf(row['as_id']) ?? ''
    const first = untold.get(id)
    return {
      appservice_id: id,
      positions: JSON.stringify({
        events: first === undefined ? done : Math.min(done, first - 1),
        receipts: numberOf(row['read_receipt_stream_id']) ?? 0,
        presence: 0,
        toDevice: numberOf(row['to_device_stream_id']) ?? 0,
        deviceLists: numberOf(row['device_list_stream_id']) ?? 0,
      }),
      // The source does not remember all that it has used: larger than any of those.
      last_txn_id: Math.floor(now / 1000),
    }
  })
}

/** By service, the position of the oldest event that waits in a transaction. */
async function firstUntold(q: SynapseSource['q']): Promise<Map<string, number>> {
  const first = new Map<string, number>()
  const oldest = await q.all<{ as_id: string; event_ids: string }>(
    `SELECT t.as_id, t.event_ids FROM application_services_txns t
     JOIN (SELECT as_id, MIN(txn_id) AS txn_id FROM application_services_txns GROUP BY as_id) o
       ON o.as_id = t.as_id AND o.txn_id = t.txn_id`,
  )
  for (const row of oldest) {
    const ids: unknown = JSON.parse(row.event_ids)
    if (!Array.isArray(ids) || ids.length === 0) continue
    const found = await q.first<{ position: number | null }>(
      `SELECT MIN(stream_ordering) AS position FROM events
       WHERE ${q.dialect.anyOf('event_id', 'text')} AND stream_ordering > 0`,
      [q.dialect.list(ids.filter((id): id is string => typeof id === 'string'))],
    )
    const position = found?.position ?? undefined
    if (position !== undefined) first.set(row.as_id, position)
  }
  return first
}
