import type { Database } from '../src/storage/database.js'
import { migrate } from '../src/storage/migrator.js'
import { openDatabase } from '../src/storage/open-database.js'
import { silentLogger } from '../src/telemetry/logger.js'
import { createMetrics } from '../src/telemetry/metrics.js'
import { systemClock } from '../src/util/clock.js'

const ROOMS = 200
const USERS = 2_000
/** Every so many events, one is of the state. */
const STATE_EVERY = 20
/** Rows that are made in one statement. */
const CHUNK = 100_000

/**
 * Makes a SQLite database with so many events, of the shape and size that a server's has: rooms of all sizes, a state
 * event among twenty, an edge for each, snapshots, members, receipts, devices with keys. Not one that a server would
 * run on: nothing is signed.
 */
export async function generateDatabase(path: string, events: number): Promise<void> {
  const db = await openDatabase(
    { name: 'sqlite', path },
    { logger: silentLogger(), metrics: createMetrics(), clock: systemClock },
  )
  try {
    await migrate(db)
    for (const sql of FEW) await db.write('generate', (tx) => tx.execute(sql))
    for (let first = 1; first <= events; first += CHUNK) {
      await generateEvents(db, first, Math.min(events, first + CHUNK - 1))
    }
    const newest = `UPDATE event_search_position SET newest = ${events}, oldest = 1`
    await db.write('generate', (tx) => tx.execute(newest))
  } finally {
    await db.close()
  }
}

async function generateEvents(db: Database, first: number, last: number): Promise<void> {
  for (const sql of MANY) {
    await db.write('generate', (tx) =>
      tx.execute(
        `WITH RECURSIVE c (n) AS (SELECT ${first} UNION ALL SELECT n + 1 FROM c WHERE n < ${last}) ${sql}`,
      ),
    )
  }
}

function upTo(count: number): string {
  return `WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${count})`
}

const ROOM = `(n % ${ROOMS} + 1)`
const SENDER = `'@user' || (n * 7 % ${USERS} + 1) || ':bench.example.org'`
const IS_STATE = `n % ${STATE_EVERY} = 0`
const WORDS = `'the quick brown fox ' || hex(randomblob(4)) || ' jumps over the lazy dog ' || n || ', then \\"sleeps\\"\\n'`

/** One row of these per event, or per so many events. */
const MANY = [
  `INSERT INTO events (event_nid, event_id, room_nid, stream_ordering, depth, type, state_key, sender,
     origin_server_ts, received_ts, state_before, state_after, contains_url, notifies, json)
   SELECT n, '$' || hex(randomblob(22)), ${ROOM}, n, n / ${ROOMS} + 1,
     iif(${IS_STATE}, 'm.room.member', 'm.room.message'), iif(${IS_STATE}, ${SENDER}, NULL), ${SENDER},
     1700000000000 + n * 1000, 1700000000100 + n * 1000, n / ${STATE_EVERY} + 1, n / ${STATE_EVERY} + 1, 0, 1,
     '{"auth_events":["$' || hex(randomblob(22)) || '","$' || hex(randomblob(22)) || '"],"content":{"body":"' ||
     ${WORDS} || '","msgtype":"m.text"},"depth":' || (n / ${ROOMS} + 1) || ',"hashes":{"sha256":"' ||
     hex(randomblob(22)) || '"},"origin_server_ts":' || (1700000000000 + n * 1000) || ',"prev_events":["$' ||
     hex(randomblob(22)) || '"],"room_id":"!room' || ${ROOM} || ':bench.example.org","sender":"' || ${SENDER} ||
     '","signatures":{"bench.example.org":{"ed25519:a":"' || hex(randomblob(43)) || '"}},"type":"m.room.message"}'
   FROM c`,
  `INSERT INTO event_edges (prev_nid, event_nid) SELECT n - ${ROOMS}, n FROM c WHERE n > ${ROOMS}`,
  `INSERT INTO auth_chains (event_nid, chain_nid, seq, reach)
   SELECT n, n, 1, randomblob(12) FROM c WHERE ${IS_STATE}`,
  `INSERT INTO state_snapshots (snapshot_nid, room_nid, hash, base_nid, hops, entries, delta)
   SELECT n / ${STATE_EVERY} + 1, ${ROOM}, hex(randomblob(16)), NULL, 0, 40, randomblob(60) FROM c WHERE ${IS_STATE}`,
  `INSERT INTO current_state_deltas (stream_ordering, room_nid, type, state_key, event_nid)
   SELECT n, ${ROOM}, 'm.room.member', ${SENDER}, n FROM c WHERE ${IS_STATE}`,
  `INSERT INTO local_memberships (user_id, stream_ordering, room_nid, membership, event_nid)
   SELECT ${SENDER}, n, ${ROOM}, 'join', n FROM c WHERE ${IS_STATE}`,
  `INSERT OR IGNORE INTO room_members (room_nid, user_id, membership, event_nid, stream_ordering, sender,
     display_name, is_local)
   SELECT ${ROOM}, ${SENDER}, 'join', n, n, ${SENDER}, 'User ' || n, 1 FROM c WHERE ${IS_STATE}`,
  `INSERT INTO device_inbox (user_id, device_id, stream_id, sender, type, content)
   SELECT ${SENDER}, 'DEVICE' || (n % 3), n, ${SENDER}, 'm.room.encrypted', hex(randomblob(300))
   FROM c WHERE n % 10 = 1`,
  `INSERT INTO one_time_keys (user_id, device_id, algorithm, key_id, key, uploaded_ts)
   SELECT ${SENDER}, 'DEVICE' || (n % 3), 'signed_curve25519', 'AAAA' || n, '{"key":"' || hex(randomblob(22)) || '"}', n
   FROM c WHERE n % 10 = 2`,
]

const FEW = [
  `${upTo(USERS)} INSERT INTO users (user_id, password_hash, created_ts)
   SELECT '@user' || n || ':bench.example.org', '$2b$12$' || hex(randomblob(26)), 1700000000000 + n FROM c`,
  `${upTo(USERS * 3)} INSERT INTO devices (user_id, device_id, display_name, created_ts)
   SELECT '@user' || ((n - 1) % ${USERS} + 1) || ':bench.example.org', 'DEVICE' || ((n - 1) / ${USERS}), 'Phone', n FROM c`,
  `${upTo(ROOMS)} INSERT INTO rooms (room_nid, room_id, version, creator, created_ts)
   SELECT n, '!room' || n || ':bench.example.org', '12', '@user1:bench.example.org', n FROM c`,
  `${upTo(USERS * 20)} INSERT OR IGNORE INTO receipts (room_nid, user_id, receipt_type, thread_id, event_id, ts, stream_id)
   SELECT ${ROOM}, ${SENDER}, 'm.read', '', '$' || hex(randomblob(22)), n, n FROM c`,
]
