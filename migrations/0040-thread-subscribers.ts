import type { Knex } from 'knex'

/** Who has subscribed to a thread is asked for with every message in it. */
export const name = '0040-thread-subscribers'

export async function up(knex: Knex): Promise<void> {
  await knex.raw('CREATE INDEX thread_subscriptions_thread ON thread_subscriptions (room_nid, root_id)')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP INDEX IF EXISTS thread_subscriptions_thread')
}
