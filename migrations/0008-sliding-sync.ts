import type { Knex } from 'knex'

/** What each connection of sliding sync has been told, and what users want to hear of threads. */
export const name = '0008-sliding-sync'

const SEQUENCES = ['thread_subscriptions_stream_seq']

export async function up(knex: Knex): Promise<void> {
  const sqlite = knex.client.config.client === 'sqlite3'
  const key = sqlite ? 'INTEGER PRIMARY KEY' : 'BIGINT PRIMARY KEY'
  const clustered = sqlite ? ' WITHOUT ROWID' : ''
  const statements = [
    // One connection of a device. floor: the oldest version that the client may still come back with.
    `CREATE TABLE sliding_sync_connections (
      connection_nid ${key},
      user_id TEXT NOT NULL,
      device_id TEXT NOT NULL,
      conn_id TEXT NOT NULL,
      floor BIGINT NOT NULL,
      last_used_ts BIGINT NOT NULL,
      UNIQUE (user_id, device_id, conn_id)
    )`,
    `CREATE INDEX sliding_sync_connections_used ON sliding_sync_connections (last_used_ts)`,
    // Which state the rooms of a connection are told with: few, and shared by many rooms.
    `CREATE TABLE sliding_sync_configs (
      connection_nid BIGINT NOT NULL,
      config_id BIGINT NOT NULL,
      required_state TEXT NOT NULL,
      PRIMARY KEY (connection_nid, config_id)
    )${clustered}`,
    // What the connection was told of a room as of a version: the row of a version holds until the next of the room.
    // sent, account_data, receipts: the position up to which it was told; -1: as far as the connection is; NULL: never.
    `CREATE TABLE sliding_sync_rooms (
      connection_nid BIGINT NOT NULL,
      room_nid BIGINT NOT NULL,
      version BIGINT NOT NULL,
      sent BIGINT,
      account_data BIGINT,
      receipts BIGINT,
      timeline_limit BIGINT NOT NULL,
      config_id BIGINT NOT NULL,
      is_dm SMALLINT NOT NULL,
      PRIMARY KEY (connection_nid, room_nid, version)
    )${clustered}`,
    `CREATE INDEX sliding_sync_rooms_version ON sliding_sync_rooms (connection_nid, version)`,

    // Who wants to be notified of a thread. unsubscribed_at: where the events stream was when they had enough of it; what
    // came before does not subscribe them again by itself. Ended subscriptions stay, so that other clients hear of it.
    `CREATE TABLE thread_subscriptions (
      user_id TEXT NOT NULL,
      room_nid BIGINT NOT NULL,
      root_id TEXT NOT NULL,
      stream_id BIGINT NOT NULL,
      subscribed SMALLINT NOT NULL,
      automatic SMALLINT NOT NULL,
      unsubscribed_at BIGINT,
      PRIMARY KEY (user_id, room_nid, root_id)
    )${clustered}`,
    `CREATE INDEX thread_subscriptions_stream ON thread_subscriptions (user_id, stream_id)`,
    ...(sqlite ? [] : SEQUENCES.map((sequence) => `CREATE SEQUENCE ${sequence}`)),
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  const tables = [
    'thread_subscriptions',
    'sliding_sync_rooms',
    'sliding_sync_configs',
    'sliding_sync_connections',
  ]
  for (const table of tables) await knex.raw(`DROP TABLE ${table}`)
  if (knex.client.config.client === 'sqlite3') return
  for (const sequence of SEQUENCES) await knex.raw(`DROP SEQUENCE ${sequence}`)
}
