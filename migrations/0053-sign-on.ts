import type { Knex } from 'knex'

/** People can sign on at services that the server trusts. */
export const name = '0053-sign-on'

export async function up(knex: Knex): Promise<void> {
  const clustered = knex.client.config.client === 'sqlite3' ? ' WITHOUT ROWID' : ''
  const statements = [
    // Browsers that have been sent to a service and are not back. state_hash and browser_hash: of what the service
    // hands back, and of what the browser keeps. purpose, memory: JSON. address: from where it was begun.
    `CREATE TABLE sign_on_attempts (
      state_hash TEXT PRIMARY KEY,
      provider TEXT NOT NULL,
      browser_hash TEXT NOT NULL,
      purpose TEXT NOT NULL,
      memory TEXT NOT NULL,
      address TEXT NOT NULL,
      expiry_ts BIGINT NOT NULL
    )${clustered}`,
    `CREATE INDEX sign_on_attempts_expiry ON sign_on_attempts (expiry_ts)`,
    `CREATE INDEX sign_on_attempts_address ON sign_on_attempts (address, expiry_ts)`,
    // People who have signed on, have no account and are asked for what one needs. identity, choices: JSON.
    `CREATE TABLE sign_on_newcomers (
      session_hash TEXT PRIMARY KEY,
      provider TEXT NOT NULL,
      provider_session TEXT,
      identity TEXT NOT NULL,
      choices TEXT NOT NULL,
      redirect_url TEXT NOT NULL,
      expiry_ts BIGINT NOT NULL
    )${clustered}`,
    `CREATE INDEX sign_on_newcomers_expiry ON sign_on_newcomers (expiry_ts)`,
    `CREATE INDEX sign_on_newcomers_session ON sign_on_newcomers (provider, provider_session)`,
    // Where the user has signed on, in which session of the service, and what the client is told besides (JSON).
    `ALTER TABLE login_tokens ADD COLUMN provider TEXT`,
    `ALTER TABLE login_tokens ADD COLUMN provider_session TEXT`,
    `ALTER TABLE login_tokens ADD COLUMN extra TEXT`,
    `CREATE INDEX login_tokens_session ON login_tokens (provider, provider_session)`,
    // Names that differ in case alone are one name to those who choose theirs.
    `CREATE INDEX users_folded ON users (lower(user_id))`,
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  const statements = [
    'DROP INDEX IF EXISTS users_folded',
    'DROP INDEX IF EXISTS login_tokens_session',
    ...['extra', 'provider_session', 'provider'].map(
      (column) => `ALTER TABLE login_tokens DROP COLUMN ${column}`,
    ),
    'DROP TABLE sign_on_newcomers',
    'DROP TABLE sign_on_attempts',
  ]
  for (const statement of statements) await knex.raw(statement)
}
