import type { Knex } from 'knex'

/** What somebody who registers has said before the last stage of the authentication, which need not say it again. */
export const name = '0044-remembered-registrations'

export async function up(knex: Knex): Promise<void> {
  // JSON, NULL where nothing is remembered. Of a password only the slow hash.
  await knex.raw('ALTER TABLE ui_auth_sessions ADD COLUMN request TEXT')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('ALTER TABLE ui_auth_sessions DROP COLUMN request')
}
