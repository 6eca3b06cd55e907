import type { Knex } from 'knex'

/** What redactions take away is kept for a while, so that mistakes can be looked at, and then goes for good. */
export const name = '0049-redacted-content'

export async function up(knex: Knex): Promise<void> {
  const statements = [
    // 1: of the target nothing is left but what its redacted form has.
    'ALTER TABLE redactions ADD COLUMN pruned SMALLINT NOT NULL DEFAULT 0',
    'CREATE INDEX redactions_unpruned ON redactions (redaction_nid) WHERE applied = 1 AND pruned = 0',
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP INDEX IF EXISTS redactions_unpruned')
  await knex.raw('ALTER TABLE redactions DROP COLUMN pruned')
}
