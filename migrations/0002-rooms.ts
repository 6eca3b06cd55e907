import type { Knex } from 'knex'

/**
 * Rooms, events and state. Rooms, events and (type, state key) pairs are integers ("nids") inside; their text stands
 * once. Raw DDL, because what matters here differs by engine: on SQLite an integer primary key is the row itself, and
 * tables whose key is the whole access path have no rowid.
 */
export const name = '0002-rooms'

export async function up(knex: Knex): Promise<void> {
  const sqlite = knex.client.config.client === 'sqlite3'
  const key = sqlite ? 'INTEGER PRIMARY KEY' : 'BIGINT PRIMARY KEY'
  const blob = sqlite ? 'BLOB' : 'BYTEA'
  const clustered = sqlite ? ' WITHOUT ROWID' : ''
  const statements = [
    `CREATE TABLE rooms (
      room_nid ${key},
      room_id TEXT NOT NULL UNIQUE,
      version TEXT NOT NULL,
      creator TEXT NOT NULL,
      room_type TEXT,
      is_public SMALLINT NOT NULL DEFAULT 0,
      created_ts BIGINT NOT NULL,
      joined_members BIGINT NOT NULL DEFAULT 0,
      invited_members BIGINT NOT NULL DEFAULT 0
    )`,
    `CREATE INDEX rooms_public ON rooms (joined_members, room_nid) WHERE is_public = 1`,

    // An event that this server holds. stream_ordering: NULL for outliers, negative for backfilled events.
    // state_before/state_after: snapshots; equal unless the event is an accepted state event; NULL for outliers.
    `CREATE TABLE events (
      event_nid ${key},
      event_id TEXT NOT NULL UNIQUE,
      room_nid BIGINT NOT NULL,
      stream_ordering BIGINT,
      depth BIGINT NOT NULL,
      type TEXT NOT NULL,
      state_key TEXT,
      sender TEXT NOT NULL,
      origin_server_ts BIGINT NOT NULL,
      received_ts BIGINT NOT NULL,
      state_before BIGINT,
      state_after BIGINT,
      rejected TEXT,
      soft_failed SMALLINT NOT NULL DEFAULT 0,
      redacted_by TEXT,
      contains_url SMALLINT NOT NULL DEFAULT 0,
      relates_to TEXT,
      rel_type TEXT,
      thread_root TEXT,
      notifies SMALLINT NOT NULL DEFAULT 0,
      json TEXT NOT NULL
    )`,
    `CREATE UNIQUE INDEX events_stream ON events (stream_ordering)`,
    `CREATE INDEX events_room_stream ON events (room_nid, stream_ordering)`,
    `CREATE INDEX events_room_depth ON events (room_nid, depth, stream_ordering)`,
    `CREATE INDEX events_room_ts ON events (room_nid, origin_server_ts)`,
    `CREATE INDEX events_relations ON events (relates_to, rel_type, stream_ordering) WHERE relates_to IS NOT NULL`,
    `CREATE INDEX events_threads ON events (room_nid, thread_root, stream_ordering, sender)
       WHERE thread_root IS NOT NULL AND redacted_by IS NULL AND rejected IS NULL AND soft_failed = 0`,
    // Covers what unread counts ask for: they never read an event's row.
    `CREATE INDEX events_notifying ON events (room_nid, stream_ordering, sender, thread_root) WHERE notifies = 1`,

    // Referenced as a previous event, not held: backward extremities. The nid becomes the event's when it arrives.
    `CREATE TABLE missing_events (
      event_nid ${key},
      event_id TEXT NOT NULL UNIQUE,
      room_nid BIGINT NOT NULL
    )`,
    `CREATE INDEX missing_events_room ON missing_events (room_nid)`,
    `CREATE TABLE event_edges (
      prev_nid BIGINT NOT NULL,
      event_nid BIGINT NOT NULL,
      PRIMARY KEY (prev_nid, event_nid)
    )${clustered}`,
    `CREATE TABLE forward_extremities (
      room_nid BIGINT NOT NULL,
      event_nid BIGINT NOT NULL,
      PRIMARY KEY (room_nid, event_nid)
    )${clustered}`,

    // Auth chains of state events. Each event is the seq-th of a chain, in which it has all before it in its auth
    // chain; reach: (chain, highest seq) pairs that its auth chain covers, so that no walk of the graph is needed.
    `CREATE TABLE auth_chains (
      event_nid ${key},
      chain_nid BIGINT NOT NULL,
      seq BIGINT NOT NULL,
      reach ${blob} NOT NULL
    )`,
    `CREATE UNIQUE INDEX auth_chains_position ON auth_chains (chain_nid, seq)`,

    // redaction_id: the m.room.redaction event; applied when it was allowed and its target is held.
    `CREATE TABLE redactions (
      target_id TEXT NOT NULL,
      redaction_nid BIGINT NOT NULL,
      applied SMALLINT NOT NULL DEFAULT 0,
      PRIMARY KEY (target_id, redaction_nid)
    )${clustered}`,

    `CREATE TABLE state_keys (
      key_nid ${key},
      type TEXT NOT NULL,
      state_key TEXT NOT NULL,
      UNIQUE (type, state_key)
    )`,
    // Content-addressed by an order-independent hash of the entries; delta: changes against base_nid (all entries
    // where base_nid is NULL), as written by storage/state-snapshot.ts.
    `CREATE TABLE state_snapshots (
      snapshot_nid ${key},
      room_nid BIGINT NOT NULL,
      hash TEXT NOT NULL,
      base_nid BIGINT,
      hops INTEGER NOT NULL,
      entries INTEGER NOT NULL,
      delta ${blob} NOT NULL,
      UNIQUE (room_nid, hash)
    )`,

    `CREATE TABLE current_state (
      room_nid BIGINT NOT NULL,
      type TEXT NOT NULL,
      state_key TEXT NOT NULL,
      event_nid BIGINT NOT NULL,
      PRIMARY KEY (room_nid, type, state_key)
    )${clustered}`,
    // What changed in the current state, at which position of the events stream. NULL: the entry was not / is no more.
    `CREATE TABLE current_state_deltas (
      stream_ordering BIGINT NOT NULL,
      room_nid BIGINT NOT NULL,
      type TEXT NOT NULL,
      state_key TEXT NOT NULL,
      event_nid BIGINT,
      prev_event_nid BIGINT,
      PRIMARY KEY (room_nid, stream_ordering, type, state_key)
    )${clustered}`,
    `CREATE INDEX current_state_deltas_stream ON current_state_deltas (stream_ordering)`,

    // The current membership of everybody who ever was in the room's state.
    `CREATE TABLE room_members (
      room_nid BIGINT NOT NULL,
      user_id TEXT NOT NULL,
      membership TEXT NOT NULL,
      event_nid BIGINT NOT NULL,
      stream_ordering BIGINT NOT NULL,
      sender TEXT NOT NULL,
      display_name TEXT,
      avatar_url TEXT,
      is_local SMALLINT NOT NULL,
      forgotten SMALLINT NOT NULL DEFAULT 0,
      PRIMARY KEY (room_nid, user_id)
    )${clustered}`,
    `CREATE INDEX room_members_user ON room_members (user_id, membership)`,
    `CREATE INDEX room_members_membership ON room_members (room_nid, membership, is_local)`,
    // Every membership a local user has had, in stream order: what a sync from an old token starts from.
    `CREATE TABLE local_memberships (
      user_id TEXT NOT NULL,
      stream_ordering BIGINT NOT NULL,
      room_nid BIGINT NOT NULL,
      membership TEXT NOT NULL,
      event_nid BIGINT NOT NULL,
      PRIMARY KEY (user_id, room_nid, stream_ordering)
    )${clustered}`,
    `CREATE INDEX local_memberships_stream ON local_memberships (user_id, stream_ordering)`,

    // What a client sent with which transaction ID; kept for a day.
    `CREATE TABLE event_txns (
      user_id TEXT NOT NULL,
      device_id TEXT NOT NULL,
      room_nid BIGINT NOT NULL,
      txn_id TEXT NOT NULL,
      event_nid BIGINT NOT NULL,
      ts BIGINT NOT NULL,
      PRIMARY KEY (user_id, device_id, room_nid, txn_id)
    )${clustered}`,
    `CREATE INDEX event_txns_event ON event_txns (event_nid)`,
    `CREATE INDEX event_txns_ts ON event_txns (ts)`,

    // Highlights are rows; plain notifications are counted from events.notifies and the user's receipt.
    `CREATE TABLE event_highlights (
      user_id TEXT NOT NULL,
      room_nid BIGINT NOT NULL,
      stream_ordering BIGINT NOT NULL,
      PRIMARY KEY (user_id, room_nid, stream_ordering)
    )${clustered}`,
    ...(sqlite
      ? []
      : [
          'CREATE SEQUENCE room_nid_seq',
          'CREATE SEQUENCE event_nid_seq',
          'CREATE SEQUENCE state_key_nid_seq',
          'CREATE SEQUENCE snapshot_nid_seq',
          'CREATE SEQUENCE auth_chain_nid_seq',
          'CREATE SEQUENCE events_stream_seq',
          'CREATE SEQUENCE events_backfill_seq',
        ]),
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  const tables = [
    'event_highlights',
    'event_txns',
    'local_memberships',
    'room_members',
    'current_state_deltas',
    'current_state',
    'state_snapshots',
    'state_keys',
    'redactions',
    'auth_chains',
    'forward_extremities',
    'event_edges',
    'missing_events',
    'events',
    'rooms',
  ]
  for (const table of tables) await knex.raw(`DROP TABLE ${table}`)
  if (knex.client.config.client === 'sqlite3') return
  const sequences = [
    'room_nid',
    'event_nid',
    'state_key_nid',
    'snapshot_nid',
    'auth_chain_nid',
    'events_stream',
  ]
  for (const sequence of [...sequences, 'events_backfill']) await knex.raw(`DROP SEQUENCE ${sequence}_seq`)
}
