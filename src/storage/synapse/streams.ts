import type { SynapseSource } from './source.js'

/** The largest ids that were handed out of each stream: what comes next must be larger. */
export interface StreamEnds {
  readonly events: number
  readonly backfill: number
  readonly accountData: number
  readonly receipts: number
  readonly toDevice: number
  readonly deviceLists: number
  readonly presence: number
  readonly threadSubscriptions: number
}

/** Tables and columns with ids of a stream; the sequence of PostgreSQL, which knows more. */
const PLACES: Readonly<Record<keyof StreamEnds, { sequence: string; columns: readonly [string, string][] }>> =
  {
    events: {
      sequence: 'events_stream_seq',
      columns: [
        ['events', 'stream_ordering'],
        ['current_state_delta_stream', 'stream_id'],
      ],
    },
    backfill: { sequence: 'events_backfill_stream_seq', columns: [] },
    accountData: {
      sequence: 'account_data_sequence',
      columns: [
        ['account_data', 'stream_id'],
        ['room_account_data', 'stream_id'],
        ['room_tags_revisions', 'stream_id'],
      ],
    },
    receipts: { sequence: 'receipts_sequence', columns: [['receipts_linearized', 'stream_id']] },
    toDevice: {
      sequence: 'device_inbox_sequence',
      columns: [
        ['device_inbox', 'stream_id'],
        ['device_federation_outbox', 'stream_id'],
        ['device_max_stream_id', 'stream_id'],
      ],
    },
    deviceLists: {
      sequence: 'device_lists_sequence',
      columns: [
        ['device_lists_stream', 'stream_id'],
        ['user_signature_stream', 'stream_id'],
        ['device_lists_outbound_pokes', 'stream_id'],
        ['device_lists_changes_in_room', 'stream_id'],
        ['device_lists_outbound_last_success', 'stream_id'],
      ],
    },
    presence: { sequence: 'presence_stream_sequence', columns: [['presence_stream', 'stream_id']] },
    threadSubscriptions: {
      sequence: 'thread_subscriptions_sequence',
      columns: [['thread_subscriptions', 'stream_id']],
    },
  }

/** Reads how far each stream has come. */
export async function readStreamEnds(source: SynapseSource): Promise<StreamEnds> {
  const ends = {} as Record<keyof StreamEnds, number>
  for (const name of Object.keys(PLACES) as (keyof StreamEnds)[]) ends[name] = await readEnd(source, name)
  const oldest = await source.q.first<{ oldest: number | null }>(
    'SELECT MIN(stream_ordering) AS oldest FROM events',
  )
  ends.backfill = Math.max(ends.backfill, -(oldest?.oldest ?? 0))
  return ends
}

async function readEnd({ q, schema }: SynapseSource, name: keyof StreamEnds): Promise<number> {
  const { sequence, columns } = PLACES[name]
  let end = 0
  for (const [table, column] of columns) {
    if (!schema.hasColumn(table, column)) continue
    const row = await q.first<{ end: number | null }>(`SELECT MAX(${column}) AS "end" FROM ${table}`)
    end = Math.max(end, row?.end ?? 0)
  }
  if (q.dialect.name === 'sqlite') return end
  const row = await q.first<{ end: number | null }>(
    'SELECT last_value AS "end" FROM pg_sequences WHERE sequencename = ? AND schemaname = ANY (current_schemas(false))',
    [sequence],
  )
  return Math.max(end, row?.end ?? 0)
}
