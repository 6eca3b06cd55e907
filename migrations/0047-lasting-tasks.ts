import type { Knex } from 'knex'

/** What administrators have asked for and takes its time: it goes on after a restart, and what came of it is kept. */
export const name = '0047-lasting-tasks'

export async function up(knex: Knex): Promise<void> {
  const clustered = knex.client.config.client === 'sqlite3' ? ' WITHOUT ROWID' : ''
  // resource: what it is about, a room or a user. params, result: JSON objects.
  await knex.raw(
    `CREATE TABLE lasting_tasks (
      task_id TEXT PRIMARY KEY,
      action TEXT NOT NULL,
      resource TEXT NOT NULL,
      status TEXT NOT NULL,
      params TEXT NOT NULL,
      result TEXT,
      error TEXT,
      changed_ts BIGINT NOT NULL
    )${clustered}`,
  )
  await knex.raw('CREATE INDEX lasting_tasks_resource ON lasting_tasks (resource, action)')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE lasting_tasks')
}
