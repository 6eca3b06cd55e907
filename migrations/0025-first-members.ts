import type { Knex } from 'knex'

/** The first members of a room, whom clients make up its name from, without reading all of them. */
export const name = '0025-first-members'

export async function up(knex: Knex): Promise<void> {
  await knex.raw(
    'CREATE INDEX room_members_order ON room_members (room_nid, membership, stream_ordering, user_id)',
  )
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP INDEX IF EXISTS room_members_order')
}
