import type { Knex } from 'knex'

/** Events that are sent later, unless somebody says otherwise. */
export const name = '0016-delayed-events'

export async function up(knex: Knex): Promise<void> {
  const sqlite = knex.client.config.client === 'sqlite3'
  const clustered = sqlite ? ' WITHOUT ROWID' : ''
  const statements = [
    // state_key: NULL for what is no state. position: of the events stream when it was scheduled; who else changes the
    // same state after it prevails. is_due: it is being sent, and is sent again if the server stops in between.
    `CREATE TABLE delayed_events (
      delay_id TEXT PRIMARY KEY,
      user_id TEXT NOT NULL,
      device_id TEXT,
      room_nid BIGINT NOT NULL,
      type TEXT NOT NULL,
      state_key TEXT,
      content TEXT NOT NULL,
      origin_server_ts BIGINT,
      delay_ms BIGINT NOT NULL,
      running_since BIGINT NOT NULL,
      send_ts BIGINT NOT NULL,
      position BIGINT NOT NULL,
      is_due SMALLINT NOT NULL DEFAULT 0
    )${clustered}`,
    `CREATE INDEX delayed_events_send ON delayed_events (send_ts)`,
    `CREATE INDEX delayed_events_user ON delayed_events (user_id, send_ts)`,
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE delayed_events')
}
