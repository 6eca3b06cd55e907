import type { Knex } from 'knex'

/** Events that stay in sight for a while, and addresses that are being proven. */
export const name = '0019-sticky-events-and-addresses'

const TABLES = ['threepid_validations', 'sticky_events']

export async function up(knex: Knex): Promise<void> {
  const sqlite = knex.client.config.client === 'sqlite3'
  const key = sqlite ? 'INTEGER PRIMARY KEY' : 'BIGINT PRIMARY KEY'
  const clustered = sqlite ? ' WITHOUT ROWID' : ''
  const statements = [
    // Accepted events of timelines, by their positions in the stream.
    `CREATE TABLE sticky_events (
      stream_ordering ${key},
      event_nid BIGINT NOT NULL,
      room_nid BIGINT NOT NULL,
      expires_ts BIGINT NOT NULL
    )`,
    `CREATE INDEX sticky_events_room ON sticky_events (room_nid, stream_ordering)`,
    `CREATE INDEX sticky_events_expiry ON sticky_events (expires_ts)`,
    `ALTER TABLE delayed_events ADD COLUMN sticky_ms BIGINT`,
    // Addresses that somebody says are theirs. purpose: what a proof is good for: add, register, reset. token: what the message to the address says; validated_ts: when it was
    // said back.
    `CREATE TABLE threepid_validations (
      session_id TEXT PRIMARY KEY,
      purpose TEXT NOT NULL,
      medium TEXT NOT NULL,
      address TEXT NOT NULL,
      client_secret TEXT NOT NULL,
      token TEXT NOT NULL,
      send_attempt BIGINT NOT NULL,
      next_link TEXT,
      created_ts BIGINT NOT NULL,
      validated_ts BIGINT
    )${clustered}`,
    `CREATE UNIQUE INDEX threepid_validations_secret ON threepid_validations
       (purpose, medium, address, client_secret)`,
    `CREATE INDEX threepid_validations_created ON threepid_validations (created_ts)`,
    `CREATE INDEX users_erased ON users (user_id) WHERE is_erased = 1`,
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP INDEX IF EXISTS users_erased')
  await knex.raw('ALTER TABLE delayed_events DROP COLUMN sticky_ms')
  for (const table of TABLES) await knex.raw(`DROP TABLE ${table}`)
}
