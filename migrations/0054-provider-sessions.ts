import type { Knex } from 'knex'

/** Devices can be logged out by the service at which their users have signed on. */
export const name = '0054-provider-sessions'

export async function up(knex: Knex): Promise<void> {
  const clustered = knex.client.config.client === 'sqlite3' ? ' WITHOUT ROWID' : ''
  const statements = [
    // In which session of which service the user of a device has signed on.
    `CREATE TABLE device_provider_sessions (
      user_id TEXT NOT NULL,
      device_id TEXT NOT NULL,
      provider TEXT NOT NULL,
      provider_session TEXT NOT NULL,
      PRIMARY KEY (user_id, device_id, provider, provider_session)
    )${clustered}`,
    `CREATE INDEX device_provider_sessions_session ON device_provider_sessions (provider, provider_session)`,
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE device_provider_sessions')
}
