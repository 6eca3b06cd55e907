import type { Knex } from 'knex'

/**
 * Memberships that come and go between servers: rooms whose state is not complete yet, and events that this server
 * passes on for others.
 */
export const name = '0012-partial-state'

export async function up(knex: Knex): Promise<void> {
  const sqlite = knex.client.config.client === 'sqlite3'
  const key = sqlite ? 'INTEGER PRIMARY KEY' : 'BIGINT PRIMARY KEY'
  const statements = [
    // Rooms that were joined with a part of their state: members are missing. join_nid: the event by which this server
    // came in; servers: JSON list of those that were in the room then, the one that was joined through first.
    `CREATE TABLE partial_state_rooms (
      room_nid ${key},
      join_nid BIGINT NOT NULL,
      servers TEXT NOT NULL,
      joined_ts BIGINT NOT NULL
    )`,
    // Since which position of the events stream the state of such a room is whole.
    `CREATE TABLE completed_rooms (
      room_nid ${key},
      stream_ordering BIGINT NOT NULL
    )`,
    // Events of other servers' users that came through this server and that it has to tell the others in the room.
    // origin: who has them already.
    `CREATE TABLE relayed_events (
      event_nid ${key},
      origin TEXT NOT NULL
    )`,
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  for (const table of ['relayed_events', 'completed_rooms', 'partial_state_rooms'])
    await knex.raw(`DROP TABLE ${table}`)
}
