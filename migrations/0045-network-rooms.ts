import type { Knex } from 'knex'

/** Rooms of bridged networks have entries in the directory like those that people publish: all are made anew. */
export const name = '0045-network-rooms'

export async function up(knex: Knex): Promise<void> {
  await knex.raw('UPDATE directory_position SET position = 0 WHERE EXISTS (SELECT 1 FROM appservice_rooms)')
}

/** Entries that nobody asks for do no harm. */
export async function down(): Promise<void> {
  return Promise.resolve()
}
