import type { Knex } from 'knex'

/** Which version of the policy users have agreed to, and when. */
export const name = '0046-user-consents'

export async function up(knex: Knex): Promise<void> {
  const clustered = knex.client.config.client === 'sqlite3' ? ' WITHOUT ROWID' : ''
  await knex.raw(
    `CREATE TABLE user_consents (
      user_id TEXT PRIMARY KEY,
      version TEXT NOT NULL,
      ts BIGINT
    )${clustered}`,
  )
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE user_consents')
}
