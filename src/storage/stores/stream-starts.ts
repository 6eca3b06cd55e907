import type { Query, Tx } from '../database.js'
import { quoteName } from '../sql-text.js'
import type { StreamEnds } from '../synapse/streams.js'

/** Which sequence each stream has here. */
const SEQUENCES: Readonly<Record<keyof StreamEnds, string>> = {
  events: 'events_stream_seq',
  backfill: 'events_backfill_seq',
  accountData: 'account_data_stream_seq',
  receipts: 'receipts_stream_seq',
  toDevice: 'to_device_stream_seq',
  deviceLists: 'device_lists_stream_seq',
  presence: 'presence_stream_seq',
  threadSubscriptions: 'thread_subscriptions_stream_seq',
}

/** Tables whose ids count by themselves, and were given explicitly. */
const SERIALS: readonly (readonly [table: string, column: string])[] = [
  ['access_tokens', 'id'],
  ['refresh_tokens', 'id'],
  ['pushers', 'pusher_id'],
  ['event_reports', 'id'],
  ['room_reports', 'id'],
  ['user_reports', 'id'],
]

/** Where the streams of a server that has been taken over go on. */
export class StreamPositionsStore {
  /** The newest position of an event that is held. */
  async newestEvent(q: Query): Promise<number> {
    const row = await q.first<{ newest: number | null }>('SELECT MAX(stream_ordering) AS newest FROM events')
    return row?.newest ?? 0
  }

  /** Lets streams go on after what their ids came to elsewhere; those that are further stay as they are. */
  async raise(tx: Tx, ends: StreamEnds): Promise<void> {
    for (const [name, sequence] of Object.entries(SEQUENCES)) {
      await raiseSequence(tx, sequence, ends[name as keyof StreamEnds])
    }
    for (const [table, column] of SERIALS) await raiseSerial(tx, table, column)
    await raiseLocalparts(tx)
  }

  /** What is made of the rest begins anew: searches, directories of people and rooms. */
  async beginDerived(tx: Tx): Promise<void> {
    await tx.execute(
      `UPDATE event_search_position SET
         newest = (SELECT COALESCE(MAX(stream_ordering), 0) FROM events),
         oldest = (SELECT COALESCE(MAX(stream_ordering), 0) + 1 FROM events)`,
    )
    await tx.execute('UPDATE directory_position SET position = 0')
    await tx.execute('UPDATE user_directory_position SET position = 0')
    await tx.execute('INSERT INTO profile_changes (user_id) SELECT user_id FROM profiles')
  }
}

async function raiseSequence(tx: Tx, sequence: string, value: number): Promise<void> {
  if (value <= 0) return
  if (tx.dialect.name === 'sqlite') {
    await tx.execute(
      `INSERT INTO id_counters (name, value) VALUES (?, ?)
       ON CONFLICT (name) DO UPDATE SET value = MAX(value, excluded.value)`,
      [sequence, value],
    )
    return
  }
  await tx.all(
    `SELECT setval(CAST(? AS regclass), CAST(? AS bigint))
     FROM ${quoteName(sequence)} WHERE last_value < CAST(? AS bigint)`,
    [quoteName(sequence), value, value],
  )
}

/** SQLite looks for the largest id itself. */
async function raiseSerial(tx: Tx, table: string, column: string): Promise<void> {
  if (tx.dialect.name === 'sqlite') return
  await tx.all(
    `SELECT setval(pg_get_serial_sequence(?, ?), m.largest)
     FROM (SELECT MAX(${quoteName(column)}) AS largest FROM ${quoteName(table)}) m WHERE m.largest IS NOT NULL`,
    [table, column],
  )
}

/** Guests and others whose names are numbers: theirs are never handed out again. */
async function raiseLocalparts(tx: Tx): Promise<void> {
  const [localpart, isNumber] =
    tx.dialect.name === 'sqlite'
      ? [`substr(user_id, 2, instr(user_id, ':') - 2)`, `localpart NOT GLOB '*[^0-9]*'`]
      : [`substr(user_id, 2, strpos(user_id, ':') - 2)`, `localpart ~ '^[0-9]+$'`]
  const row = await tx.first<{ largest: number | null }>(
    `SELECT MAX(CAST(localpart AS BIGINT)) AS largest FROM (SELECT ${localpart} AS localpart FROM users) u
     WHERE length(localpart) BETWEEN 1 AND 9 AND ${isNumber}`,
  )
  const largest = row?.largest ?? 0
  if (largest === 0) return
  await tx.execute('DELETE FROM numeric_localparts')
  // On SQLite the table remembers the largest that was ever there.
  await tx.execute('INSERT INTO numeric_localparts (id, used) VALUES (?, 1)', [largest])
  await tx.execute('DELETE FROM numeric_localparts')
  if (tx.dialect.name === 'sqlite') return
  await tx.all(`SELECT setval(pg_get_serial_sequence('numeric_localparts', 'id'), CAST(? AS bigint))`, [
    largest,
  ])
}
