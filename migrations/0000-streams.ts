import type { Knex } from 'knex'

/**
 * Where identifiers come from on SQLite, which has no sequences: a row per counter, raised within the transaction that
 * uses the numbers. PostgreSQL has sequences, made by the migrations of those who use them.
 */
export const name = '0000-streams'

export async function up(knex: Knex): Promise<void> {
  if (knex.client.config.client !== 'sqlite3') return
  await knex.raw('CREATE TABLE id_counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID')
}

export async function down(knex: Knex): Promise<void> {
  if (knex.client.config.client !== 'sqlite3') return
  await knex.raw('DROP TABLE id_counters')
}
