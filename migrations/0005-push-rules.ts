import type { Knex } from 'knex'

/** What users have changed of their push rules: one document a user, read and written as a whole. */
export const name = '0005-push-rules'

export async function up(knex: Knex): Promise<void> {
  const sqlite = knex.client.config.client === 'sqlite3'
  const clustered = sqlite ? ' WITHOUT ROWID' : ''
  const statements = [
    // changes: JSON, rules of the user's own by kind and settings of default rules.
    `CREATE TABLE push_rules (
      user_id TEXT PRIMARY KEY,
      stream_id BIGINT NOT NULL,
      changes TEXT NOT NULL
    )${clustered}`,
    `CREATE INDEX push_rules_stream ON push_rules (stream_id)`,
    ...(sqlite ? [] : ['CREATE SEQUENCE push_rules_stream_seq']),
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE push_rules')
  if (knex.client.config.client !== 'sqlite3') await knex.raw('DROP SEQUENCE push_rules_stream_seq')
}
