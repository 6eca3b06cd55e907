import { mapRecord } from '../../util/map-record.js'
import type { Tx } from '../database.js'
import type { Counters } from './counters.js'

/** What was changed so that nothing is used twice. */
export interface UsedOnce {
  /** One-time keys that may have been given to somebody since. */
  readonly oneTimeKeys: number
  /** Fallback keys that now count as used, so that devices replace them. */
  readonly fallbackKeys: number
  /** Tokens and sessions that were good for one use. */
  readonly tokens: number
  /** Connections of sliding sync, which begin anew. */
  readonly connections: number
}

/**
 * By so much streams go on behind the last position that is known. Clients, bridges and other servers may have been told
 * of later ones, which were lost: whatever happens from now on is behind those, so that nobody takes it for known.
 */
const STREAM_GAP = 1_000_000_000
/** Likewise for numbers that few are handed out of. */
const SMALL_GAP = 1_000
const TRANSACTION_GAP = 1_000_000

/** The numbers to go on with in a database that has been put back to an earlier state. */
export function leapAhead({ sequences, identities }: Counters): Counters {
  return {
    sequences: mapRecord(sequences, (value, name) =>
      name.endsWith('_stream_seq') ? value + STREAM_GAP : value,
    ),
    // Names of users that were made up, which others have seen.
    identities: mapRecord<string, number, number>({ numeric_localparts: 0, ...identities }, (value, name) =>
      name === 'numeric_localparts' ? value + SMALL_GAP : value,
    ),
  }
}

/**
 * Removes, from a database that has been put back to an earlier state, what may have been used since, and must not be
 * used again; and keeps numbers that users have been told from being given to something else. Messages for devices stay:
 * those that come again are recognized by the devices, while lost ones would be keys that nobody has any more.
 */
export async function forgetUsed(tx: Tx, restoredTs: number): Promise<UsedOnce> {
  const oneTimeKeys = await tx.execute('DELETE FROM one_time_keys WHERE claimed_ts IS NULL')
  const fallbackKeys = await tx.execute('UPDATE fallback_keys SET used = 1 WHERE used = 0')
  let tokens = 0
  for (const table of ['login_tokens', 'openid_tokens', 'ui_auth_sessions']) {
    tokens += await tx.execute(`DELETE FROM ${table}`)
  }
  await tx.execute('DELETE FROM sign_on_attempts')
  await tx.execute('DELETE FROM sign_on_newcomers')
  await tx.execute('DELETE FROM sliding_sync_rooms')
  await tx.execute('DELETE FROM sliding_sync_configs')
  const connections = await tx.execute('DELETE FROM sliding_sync_connections')
  // What is pending keeps its number, by which the service knows it if it has come.
  await tx.execute('UPDATE appservice_state SET last_txn_id = last_txn_id + ?', [TRANSACTION_GAP])
  await tx.execute(
    `INSERT INTO filters (user_id, filter_id, hash, json)
     SELECT user_id, MAX(filter_id) + ?, ?, '{}' FROM filters GROUP BY user_id`,
    [SMALL_GAP, `restored ${restoredTs}`],
  )
  await tx.execute(
    `INSERT INTO key_backup_versions (user_id, version, algorithm, auth_data, etag, count, is_deleted)
     SELECT user_id, MAX(version) + ?, '', '{}', 0, 0, 1 FROM key_backup_versions GROUP BY user_id`,
    [SMALL_GAP],
  )
  return { oneTimeKeys, fallbackKeys, tokens, connections }
}
