import { CacheRegistry, type CacheFactors } from '../storage/cache-registry.js'
import type { Database } from '../storage/database.js'
import { refuseUnfinishedRestore } from '../storage/dump/unfinished-restore.js'
import { migrate } from '../storage/migrator.js'
import { openDatabase, type DatabaseConfig } from '../storage/open-database.js'
import { takeOverPorted } from '../storage/porting/ported-database.js'
import type { DatabaseContext } from '../storage/sql-database.js'
import { TO_DEVICE_STREAM } from '../storage/stores/device-inbox.js'
import { DEVICE_LISTS_STREAM } from '../storage/stores/devices.js'
import { PRESENCE_STREAM } from '../storage/stores/presence.js'
import { PUSH_RULES_STREAM } from '../storage/stores/push-rules.js'
import { RECEIPTS_STREAM } from '../storage/stores/receipts.js'
import { THREAD_SUBSCRIPTIONS_STREAM } from '../storage/stores/thread-subscriptions.js'
import { IdAllocator, openIdSources, type SequenceOptions } from '../storage/streams/sequences.js'
import { StreamIdGenerator } from '../storage/streams/stream-id-generator.js'
import { mapRecord } from '../util/map-record.js'

/** Where the ids of each stream come from. */
const STREAMS = {
  events: {
    sequence: 'events_stream_seq',
    table: 'events',
    column: 'stream_ordering',
    // Memberships in rooms that this server is not in have positions without an event there.
    alsoIn: [{ table: 'current_state_deltas', column: 'stream_ordering' }],
  },
  backfill: { sequence: 'events_backfill_seq', table: 'events', column: 'stream_ordering', negated: true },
  accountData: { sequence: 'account_data_stream_seq', table: 'account_data', column: 'stream_id' },
  deviceLists: DEVICE_LISTS_STREAM,
  presence: PRESENCE_STREAM,
  pushRules: PUSH_RULES_STREAM,
  receipts: RECEIPTS_STREAM,
  threadSubscriptions: THREAD_SUBSCRIPTIONS_STREAM,
  toDevice: TO_DEVICE_STREAM,
} as const satisfies Record<string, SequenceOptions>

/** Where surrogate ids come from. */
const IDS = {
  rooms: { sequence: 'room_nid_seq', table: 'rooms', column: 'room_nid' },
  // Events that others refer to have their nids before they come.
  events: {
    sequence: 'event_nid_seq',
    table: 'events',
    column: 'event_nid',
    alsoIn: [{ table: 'missing_events', column: 'event_nid' }],
  },
  stateKeys: { sequence: 'state_key_nid_seq', table: 'state_keys', column: 'key_nid' },
  snapshots: { sequence: 'snapshot_nid_seq', table: 'state_snapshots', column: 'snapshot_nid' },
  authChains: { sequence: 'auth_chain_nid_seq', table: 'auth_chains', column: 'chain_nid' },
} as const satisfies Record<string, SequenceOptions>

export type Streams = Readonly<Record<keyof typeof STREAMS, StreamIdGenerator>>
export type Ids = Readonly<Record<keyof typeof IDS, IdAllocator>>

export interface StorageOptions {
  readonly database: DatabaseConfig
  readonly caches: CacheFactors
}

/** The database with what hands out its ids and remembers its rows. */
export interface Storage {
  readonly db: Database
  readonly caches: CacheRegistry
  readonly streams: Streams
  readonly ids: Ids
}

/**
 * Opens the database and brings its schema up to date. Rejects when it cannot be reached or belongs to a newer
 * program; then nothing is left open.
 */
export async function openStorage(options: StorageOptions, context: DatabaseContext): Promise<Storage> {
  const db = await openDatabase(options.database, context)
  try {
    await takeOverPorted(db)
    await refuseUnfinishedRestore(db)
    const taken = await migrate(db)
    if (taken.length > 0) context.logger.info({ migrations: taken }, 'Brought the database up to date')
    return {
      db,
      caches: new CacheRegistry(context.metrics, options.caches),
      streams: mapRecord(await openIdSources(db, STREAMS), (source) => new StreamIdGenerator(source)),
      ids: await IdAllocator.openEach(db, IDS),
    }
  } catch (error) {
    await db.close()
    throw error
  }
}
