import type { Knex } from 'knex'

/** Sticky events that the state of their room has refused when they came, and may not refuse as long as they are sticky. */
export const name = '0041-waiting-sticky-events'

export async function up(knex: Knex): Promise<void> {
  const key = knex.client.config.client === 'sqlite3' ? 'INTEGER PRIMARY KEY' : 'BIGINT PRIMARY KEY'
  const statements = [
    `CREATE TABLE waiting_sticky_events (
      event_nid ${key},
      expires_ts BIGINT NOT NULL
    )`,
    `CREATE INDEX waiting_sticky_events_expiry ON waiting_sticky_events (expires_ts)`,
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE waiting_sticky_events')
}
