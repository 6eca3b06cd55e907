import type { Knex } from 'knex'

/** Which identity servers have been told whose an identifier is, so that they can be told otherwise. */
export const name = '0034-identity-bindings'

export async function up(knex: Knex): Promise<void> {
  const clustered = knex.client.config.client === 'sqlite3' ? ' WITHOUT ROWID' : ''
  await knex.raw(
    `CREATE TABLE identity_bindings (
      user_id TEXT NOT NULL,
      medium TEXT NOT NULL,
      address TEXT NOT NULL,
      id_server TEXT NOT NULL,
      PRIMARY KEY (user_id, medium, address, id_server)
    )${clustered}`,
  )
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE identity_bindings')
}
