import type { Knex } from 'knex'

/**
 * Aliases of rooms, the directory of published rooms, and what is done in the background to rooms.
 */
export const name = '0004-directory'

export async function up(knex: Knex): Promise<void> {
  const sqlite = knex.client.config.client === 'sqlite3'
  const key = sqlite ? 'INTEGER PRIMARY KEY' : 'BIGINT PRIMARY KEY'
  const clustered = sqlite ? ' WITHOUT ROWID' : ''
  const statements = [
    // Aliases of this server. creator: NULL where nobody in particular made it.
    `CREATE TABLE room_aliases (
      alias TEXT PRIMARY KEY,
      room_nid BIGINT NOT NULL,
      creator TEXT,
      created_ts BIGINT NOT NULL
    )${clustered}`,
    `CREATE INDEX room_aliases_room ON room_aliases (room_nid)`,

    // What the directory says of a published room, from its current state as of directory_position. search_text: name,
    // topic and canonical alias in lower case, since databases differ in what they take for the same letter.
    `CREATE TABLE directory_entries (
      room_nid ${key},
      name TEXT,
      topic TEXT,
      canonical_alias TEXT,
      avatar_url TEXT,
      join_rule TEXT NOT NULL,
      world_readable SMALLINT NOT NULL,
      guest_can_join SMALLINT NOT NULL,
      search_text TEXT NOT NULL
    )`,
    // One row: the position of the events stream that the entries have been brought up to.
    `CREATE TABLE directory_position (id INTEGER PRIMARY KEY, position BIGINT NOT NULL)`,
    `INSERT INTO directory_position (id, position) VALUES (1, 0)`,

    // Changes of a display name or an avatar that have yet to reach all the user's memberships.
    `CREATE TABLE pending_profile_updates (
      user_id TEXT NOT NULL,
      field TEXT NOT NULL,
      PRIMARY KEY (user_id, field)
    )${clustered}`,

    // Finds the annotations of one sender among all those of a much annotated event.
    `CREATE INDEX events_annotations ON events (relates_to, sender) WHERE rel_type = 'm.annotation'`,
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP INDEX IF EXISTS events_annotations')
  for (const table of [
    'pending_profile_updates',
    'directory_position',
    'directory_entries',
    'room_aliases',
  ]) {
    await knex.raw(`DROP TABLE ${table}`)
  }
}
