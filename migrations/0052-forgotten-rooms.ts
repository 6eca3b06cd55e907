import type { Knex } from 'knex'

/** Rooms that everybody of this server has forgotten can be removed after a while. */
export const name = '0052-forgotten-rooms'

export async function up(knex: Knex): Promise<void> {
  // Since when it has been seen that all of ours who were ever in the room have forgotten it; NULL: somebody has not.
  await knex.raw('ALTER TABLE rooms ADD COLUMN forgotten_ts BIGINT')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('ALTER TABLE rooms DROP COLUMN forgotten_ts')
}
