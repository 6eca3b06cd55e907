import type { ProgressSink } from '../util/progress-sink.js'
import type { Database, Query, Tx } from './database.js'
import { SqlDatabase } from './sql-database.js'
import { AccessTokensStore } from './stores/access-tokens.js'
import { DatabaseSizeStore } from './stores/database-size.js'
import { EVENT_TXN_LIFETIME_MS, EventTxnsStore } from './stores/event-txns.js'
import { LoginTokensStore } from './stores/login-tokens.js'
import { OpenIdTokensStore } from './stores/openid-tokens.js'
import { RefreshTokensStore } from './stores/refresh-tokens.js'

/** Rows that nothing needs any more. */
export interface DeadRows {
  /** `stateSnapshots`: states of rooms at no event. The others have expired. */
  readonly what:
    'stateSnapshots' | 'accessTokens' | 'refreshTokens' | 'loginTokens' | 'openIdTokens' | 'transactionIds'
  readonly rows: number
}

export interface CompactionReport {
  readonly dead: readonly DeadRows[]
  readonly bytesBefore: number
  /** Undefined where nothing was changed. */
  readonly bytesAfter: number | undefined
  /** Inside the file and unused before; undefined where the database does not say. */
  readonly freeBytesBefore: number | undefined
}

export interface CompactionOptions {
  readonly dryRun: boolean
  /** In milliseconds since 1970. */
  readonly now: number
  /** Sessions that expired before this are told to log in as if they were unknown. */
  readonly sessionsExpiredBefore: number
  /** On PostgreSQL: tables are written anew, which gives all free space back and locks each meanwhile. */
  readonly rewrites: boolean
  readonly progress: ProgressSink
}

/** Snapshots that are deleted in one transaction. */
const BATCH = 5_000

/**
 * All snapshots that an event has, or that one of those builds on. `takeover_state_groups` remembers what a takeover from
 * another server goes on from.
 */
const LIVE = `live (nid) AS (
  SELECT state_before FROM events WHERE state_before IS NOT NULL
  UNION SELECT state_after FROM events WHERE state_after IS NOT NULL
  UNION SELECT snapshot_nid FROM takeover_state_groups
  UNION SELECT s.base_nid FROM state_snapshots s JOIN live ON s.snapshot_nid = live.nid
    WHERE s.base_nid IS NOT NULL)`

/**
 * Deletes rows that nothing needs any more and gives the room that they took back to the disk. No server may run on the
 * database: it remembers states that it may want to use again. May be interrupted at any point, and run again.
 */
export async function compact(db: Database, options: CompactionOptions): Promise<CompactionReport> {
  const sizes = new DatabaseSizeStore()
  const before = await sizes.total(db.reader)
  const snapshots = await listDeadSnapshots(db.reader)
  const expired = await deleteExpired(db, options)
  const dead = [{ what: 'stateSnapshots', rows: snapshots.length } as const, ...expired]
  const report = { dead, bytesBefore: before.bytes, freeBytesBefore: before.freeBytes }
  if (options.dryRun) return { ...report, bytesAfter: undefined }
  await deleteSnapshots(db, snapshots, options.progress)
  await giveBack(db, options)
  return { ...report, bytesAfter: (await sizes.total(db.reader)).bytes }
}

/** Those first that none of the others builds on. */
async function listDeadSnapshots(q: Query): Promise<number[]> {
  const rows = await q.all<{ snapshot_nid: number }>(
    `WITH RECURSIVE ${LIVE}
     SELECT snapshot_nid FROM state_snapshots WHERE NOT EXISTS (SELECT 1 FROM live WHERE nid = snapshot_nid)
     ORDER BY hops DESC`,
  )
  return rows.map((row) => row.snapshot_nid)
}

/** At no time does a snapshot stay behind whose base is gone: it could be found by its content, and used. */
async function deleteSnapshots(db: Database, nids: readonly number[], progress: ProgressSink): Promise<void> {
  if (nids.length === 0) return
  progress.start('Deleting state snapshots', nids.length, 'rows')
  try {
    for (let start = 0; start < nids.length; start += BATCH) {
      const batch = nids.slice(start, start + BATCH)
      await db.write('delete_dead_snapshots', (tx) =>
        tx.execute(`DELETE FROM state_snapshots WHERE ${tx.dialect.anyOf('snapshot_nid', 'integer')}`, [
          tx.dialect.list(batch),
        ]),
      )
      progress.advance(batch.length)
    }
  } finally {
    progress.finish()
  }
}

/** Ends a transaction that was only to be tried. */
class DryRun extends Error {
  override readonly name = 'DryRun'
}

async function deleteExpired(
  db: Database,
  { dryRun, now, sessionsExpiredBefore }: CompactionOptions,
): Promise<DeadRows[]> {
  const deletions: readonly [DeadRows['what'], (tx: Tx) => Promise<number>][] = [
    ['refreshTokens', (tx) => new RefreshTokensStore().deleteExpired(tx, sessionsExpiredBefore)],
    ['accessTokens', (tx) => new AccessTokensStore().deleteExpired(tx, sessionsExpiredBefore)],
    ['loginTokens', (tx) => new LoginTokensStore().deleteExpired(tx, now)],
    ['openIdTokens', (tx) => new OpenIdTokensStore().deleteExpired(tx, now)],
    ['transactionIds', (tx) => new EventTxnsStore().deleteBefore(tx, now - EVENT_TXN_LIFETIME_MS)],
  ]
  const dead: DeadRows[] = []
  try {
    await db.write('delete_expired', async (tx) => {
      dead.length = 0
      for (const [what, run] of deletions) dead.push({ what, rows: await run(tx) })
      if (dryRun) throw new DryRun('Nothing is to be changed')
    })
  } catch (error) {
    if (!(error instanceof DryRun)) throw error
  }
  return dead
}

/** Outside of any transaction: the databases want it so. */
async function giveBack(db: Database, { rewrites, progress }: CompactionOptions): Promise<void> {
  if (!(db instanceof SqlDatabase)) throw new TypeError('This kind of database has no space of its own')
  const knex = db.engine.migrationKnex
  progress.start('Giving free space back', undefined, 'bytes')
  try {
    if (db.dialect.name === 'postgres') {
      await knex.raw(rewrites ? 'VACUUM (FULL, ANALYZE)' : 'VACUUM (ANALYZE)')
      return
    }
    await knex.raw('VACUUM')
    await knex.raw('PRAGMA wal_checkpoint(TRUNCATE)')
    await knex.raw('PRAGMA optimize')
  } finally {
    progress.finish()
  }
}
