import type { Knex } from 'knex'

/** What passes by: receipts, exceptions to what events notify, presence, and messages that wait for a device. */
export const name = '0003-ephemeral'

const SEQUENCES = ['receipts_stream_seq', 'presence_stream_seq', 'to_device_stream_seq']

export async function up(knex: Knex): Promise<void> {
  const sqlite = knex.client.config.client === 'sqlite3'
  const clustered = sqlite ? ' WITHOUT ROWID' : ''
  const statements = [
    // How far somebody has read. thread_id: '' for receipts without a thread, else "main" or the ID of a thread's root.
    // event_position: the event's stream ordering, NULL while this server does not hold the event.
    `CREATE TABLE receipts (
      room_nid BIGINT NOT NULL,
      user_id TEXT NOT NULL,
      receipt_type TEXT NOT NULL,
      thread_id TEXT NOT NULL,
      event_id TEXT NOT NULL,
      event_position BIGINT,
      ts BIGINT NOT NULL,
      stream_id BIGINT NOT NULL,
      PRIMARY KEY (room_nid, user_id, receipt_type, thread_id)
    )${clustered}`,
    `CREATE INDEX receipts_room_stream ON receipts (room_nid, stream_id)`,
    `CREATE INDEX receipts_stream ON receipts (stream_id)`,

    // Where the rules of a user come to something else than the default rules: what to add to the counts of those. quiet:
    // the room's messages did not notify the user anyway, so that nothing of the default counts.
    `CREATE TABLE event_push_exceptions (
      user_id TEXT NOT NULL,
      room_nid BIGINT NOT NULL,
      stream_ordering BIGINT NOT NULL,
      quiet SMALLINT NOT NULL,
      notifications SMALLINT NOT NULL,
      highlights SMALLINT NOT NULL,
      PRIMARY KEY (user_id, room_nid, stream_ordering)
    )${clustered}`,

    // The last presence that others were told of.
    `CREATE TABLE presence (
      user_id TEXT PRIMARY KEY,
      state TEXT NOT NULL,
      status_msg TEXT,
      last_active_ts BIGINT NOT NULL,
      currently_active SMALLINT NOT NULL DEFAULT 0,
      stream_id BIGINT NOT NULL
    )${clustered}`,
    `CREATE INDEX presence_stream ON presence (stream_id)`,

    // Messages that wait until their device says that it has them.
    `CREATE TABLE device_inbox (
      user_id TEXT NOT NULL,
      device_id TEXT NOT NULL,
      stream_id BIGINT NOT NULL,
      sender TEXT NOT NULL,
      type TEXT NOT NULL,
      content TEXT NOT NULL,
      PRIMARY KEY (user_id, device_id, stream_id)
    )${clustered}`,
    `CREATE INDEX device_inbox_stream ON device_inbox (stream_id)`,
    ...(sqlite ? [] : SEQUENCES.map((sequence) => `CREATE SEQUENCE ${sequence}`)),
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  for (const table of ['device_inbox', 'presence', 'event_push_exceptions', 'receipts'])
    await knex.raw(`DROP TABLE ${table}`)
  if (knex.client.config.client === 'sqlite3') return
  for (const sequence of SEQUENCES) await knex.raw(`DROP SEQUENCE ${sequence}`)
}
