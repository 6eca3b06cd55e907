import type { Knex } from 'knex'

/**
 * What administrators have decided: rooms that nobody may enter, limits of single users, and what they have asked for and
 * takes its time: it goes on after a restart, and what came of it is kept.
 */
export const name = '0047-administration'

export async function up(knex: Knex): Promise<void> {
  const clustered = knex.client.config.client === 'sqlite3' ? ' WITHOUT ROWID' : ''
  const statements = [
    // resource: what it is about, a room or a user. params, result: JSON objects.
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
    'CREATE INDEX lasting_tasks_resource ON lasting_tasks (resource, action)',
    // By ID, since the server need not know the room.
    `CREATE TABLE blocked_rooms (
      room_id TEXT PRIMARY KEY,
      blocked_by TEXT NOT NULL
    )${clustered}`,
    // 0 messages a second: the user is not limited.
    `CREATE TABLE ratelimit_overrides (
      user_id TEXT PRIMARY KEY,
      messages_per_second BIGINT NOT NULL,
      burst_count BIGINT NOT NULL
    )${clustered}`,
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  for (const table of ['ratelimit_overrides', 'blocked_rooms', 'lasting_tasks']) {
    await knex.raw(`DROP TABLE ${table}`)
  }
}
