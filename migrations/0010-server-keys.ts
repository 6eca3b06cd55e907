import type { Knex } from 'knex'

/** The signing keys of other servers, and which servers do not answer. */
export const name = '0010-server-keys'

const TABLES = ['destinations', 'server_key_documents', 'server_keys']

export async function up(knex: Knex): Promise<void> {
  const clustered = knex.client.config.client === 'sqlite3' ? ' WITHOUT ROWID' : ''
  const statements = [
    // public_key: Base64. valid_until_ts: for keys that are used no more, when they stopped being valid.
    `CREATE TABLE server_keys (
      server_name TEXT NOT NULL,
      key_id TEXT NOT NULL,
      public_key TEXT NOT NULL,
      valid_until_ts BIGINT NOT NULL,
      PRIMARY KEY (server_name, key_id)
    )${clustered}`,

    // What a server has signed of its keys, for those who ask this server for them: the newest that came.
    // key_id: one of the keys that it names. document: canonical JSON with the server's signatures.
    `CREATE TABLE server_key_documents (
      server_name TEXT NOT NULL,
      key_id TEXT NOT NULL,
      fetched_ts BIGINT NOT NULL,
      valid_until_ts BIGINT NOT NULL,
      document TEXT NOT NULL,
      PRIMARY KEY (server_name, key_id)
    )${clustered}`,

    // Servers that have failed since they last answered. failing_since_ts, retry_at_ts: 0 when they are well.
    // retry_requested: the operator wants them to be tried now.
    `CREATE TABLE destinations (
      server_name TEXT PRIMARY KEY,
      failures BIGINT NOT NULL,
      failing_since_ts BIGINT NOT NULL,
      retry_at_ts BIGINT NOT NULL,
      last_error TEXT NOT NULL,
      retry_requested SMALLINT NOT NULL DEFAULT 0
    )${clustered}`,
    `CREATE INDEX destinations_requested ON destinations (server_name) WHERE retry_requested = 1`,
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  for (const table of TABLES) await knex.raw(`DROP TABLE ${table}`)
}
