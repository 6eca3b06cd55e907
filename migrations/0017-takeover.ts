import type { Knex } from 'knex'

/** How far a takeover from another server has come, and what came with it that nothing else holds. */
export const name = '0017-takeover'

const TABLES = ['user_external_ids', 'takeover_state_groups', 'takeover_rooms', 'takeover']

export async function up(knex: Knex): Promise<void> {
  const sqlite = knex.client.config.client === 'sqlite3'
  const key = sqlite ? 'INTEGER PRIMARY KEY' : 'BIGINT PRIMARY KEY'
  const clustered = sqlite ? ' WITHOUT ROWID' : ''
  const statements = [
    // At most one row. server_name: whose server is taken over. stage: copying, or finished: then nothing is copied any
    // more. last_position: the largest position of the events stream that was copied.
    `CREATE TABLE takeover (
      id INTEGER PRIMARY KEY,
      server_name TEXT NOT NULL,
      stage TEXT NOT NULL,
      began_ts BIGINT NOT NULL,
      finished_ts BIGINT,
      last_position BIGINT NOT NULL
    )`,
    // Rooms that have been copied. newest, oldest: the largest positive and the smallest negative position of their
    // events that have come. source: what the room's events came to at the source when it was complete (see
    // storage/synapse/rooms.ts); NULL until then.
    `CREATE TABLE takeover_rooms (
      room_nid ${key},
      newest BIGINT NOT NULL,
      oldest BIGINT NOT NULL,
      source TEXT
    )`,
    // Which snapshots the states of the source have become, for what builds on them later.
    `CREATE TABLE takeover_state_groups (
      state_group ${key},
      room_nid BIGINT NOT NULL,
      snapshot_nid BIGINT NOT NULL
    )`,
    `CREATE INDEX takeover_state_groups_room ON takeover_state_groups (room_nid)`,
    // As whom users are known to the services by which they log in.
    `CREATE TABLE user_external_ids (
      auth_provider TEXT NOT NULL,
      external_id TEXT NOT NULL,
      user_id TEXT NOT NULL,
      PRIMARY KEY (auth_provider, external_id)
    )${clustered}`,
    `CREATE INDEX user_external_ids_user ON user_external_ids (user_id)`,
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  for (const table of TABLES) await knex.raw(`DROP TABLE ${table}`)
}
