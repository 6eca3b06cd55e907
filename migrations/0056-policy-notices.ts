import type { Knex } from 'knex'

/** Of which version of the policy users have been told that they are to agree to it. */
export const name = '0056-policy-notices'

export async function up(knex: Knex): Promise<void> {
  const clustered = knex.client.config.client === 'sqlite3' ? ' WITHOUT ROWID' : ''
  await knex.raw(
    `CREATE TABLE policy_notices (
      user_id TEXT PRIMARY KEY,
      version TEXT NOT NULL
    )${clustered}`,
  )
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE policy_notices')
}
