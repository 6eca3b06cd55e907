import type { Knex } from 'knex'

/**
 * What administrators ask of users and servers: how many people somebody has invited, and when a server that does not
 * answer was asked last.
 */
export const name = '0048-administrators-questions'

export async function up(knex: Knex): Promise<void> {
  const statements = [
    // Who has done something to the membership of somebody else: few rows, and none for what is said in rooms.
    `CREATE INDEX events_acts_on_members ON events (sender, received_ts)
       WHERE type = 'm.room.member' AND state_key <> sender`,
    // 0: not known.
    'ALTER TABLE destinations ADD COLUMN last_failed_ts BIGINT NOT NULL DEFAULT 0',
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('ALTER TABLE destinations DROP COLUMN last_failed_ts')
  await knex.raw('DROP INDEX IF EXISTS events_acts_on_members')
}
