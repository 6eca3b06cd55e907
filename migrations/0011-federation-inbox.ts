import type { Knex } from 'knex'

/** What other servers have sent, until it has been dealt with, and who of them is in which room. */
export const name = '0011-federation-inbox'

export async function up(knex: Knex): Promise<void> {
  const sqlite = knex.client.config.client === 'sqlite3'
  const clustered = sqlite ? ' WITHOUT ROWID' : ''
  const server = sqlite
    ? `substr(user_id, instr(user_id, ':') + 1)`
    : `substr(user_id, strpos(user_id, ':') + 1)`
  const statements = [
    // Events whose format, hashes and signatures have been checked, in the order of received_ts and place: where it
    // stood in its transaction.
    `CREATE TABLE federation_inbox (
      room_nid BIGINT NOT NULL,
      event_id TEXT NOT NULL,
      origin TEXT NOT NULL,
      received_ts BIGINT NOT NULL,
      place INTEGER NOT NULL,
      json TEXT NOT NULL,
      PRIMARY KEY (room_nid, event_id)
    )${clustered}`,
    // How transactions were answered, for those who did not hear it. answer: JSON.
    `CREATE TABLE federation_transactions (
      origin TEXT NOT NULL,
      txn_id TEXT NOT NULL,
      received_ts BIGINT NOT NULL,
      answer TEXT NOT NULL,
      PRIMARY KEY (origin, txn_id)
    )${clustered}`,
    `CREATE INDEX federation_transactions_ts ON federation_transactions (received_ts)`,
    `CREATE INDEX room_members_server ON room_members (room_nid, (${server}), membership)`,
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP INDEX IF EXISTS room_members_server')
  for (const table of ['federation_transactions', 'federation_inbox']) await knex.raw(`DROP TABLE ${table}`)
}
