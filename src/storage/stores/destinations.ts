import type { ServerName } from '../../protocol/ids.js'
import type { Query, Tx } from '../database.js'

/** A server that has failed since it last answered. */
export interface FailingDestination {
  readonly serverName: ServerName
  /** How often, one after the other. */
  readonly failures: number
  readonly failingSinceTs: number
  /** When it failed last; 0: not known. */
  readonly lastFailedTs: number
  /** Until then it is left alone. */
  readonly retryAtTs: number
  /** For people. */
  readonly lastError: string
}

interface DestinationRow {
  server_name: string
  failures: number
  failing_since_ts: number
  last_failed_ts: number
  retry_at_ts: number
  last_error: string
}

const COLUMNS = {
  server_name: 'text',
  failures: 'integer',
  failing_since_ts: 'integer',
  last_failed_ts: 'integer',
  retry_at_ts: 'integer',
  last_error: 'text',
  retry_requested: 'integer',
} as const

const SELECT =
  'SELECT server_name, failures, failing_since_ts, last_failed_ts, retry_at_ts, last_error FROM destinations'

/** The servers that do not answer. Those that do have no row. */
export class DestinationsStore {
  async get(q: Query, serverName: ServerName): Promise<FailingDestination | undefined> {
    const row = await q.first<DestinationRow>(`${SELECT} WHERE server_name = ?`, [serverName])
    return row && toDestination(row)
  }

  /** Of these servers, those that fail. */
  async getMany(q: Query, serverNames: readonly ServerName[]): Promise<FailingDestination[]> {
    if (serverNames.length === 0) return []
    const rows = await q.all<DestinationRow>(`${SELECT} WHERE ${q.dialect.anyOf('server_name', 'text')}`, [
      q.dialect.list(serverNames),
    ])
    return rows.map(toDestination)
  }

  /** In the order of their names, after `after`. */
  async list(q: Query, options: { limit: number; after?: string }): Promise<FailingDestination[]> {
    const rows = await q.all<DestinationRow>(`${SELECT} WHERE server_name > ? ORDER BY server_name LIMIT ?`, [
      options.after ?? '',
      options.limit,
    ])
    return rows.map(toDestination)
  }

  /** Writes down how servers fail, each in the place of what was known of it. */
  async put(tx: Tx, destinations: readonly FailingDestination[]): Promise<void> {
    const rows = destinations.map((destination) => ({
      server_name: destination.serverName,
      failures: destination.failures,
      failing_since_ts: destination.failingSinceTs,
      last_failed_ts: destination.lastFailedTs,
      retry_at_ts: destination.retryAtTs,
      last_error: destination.lastError,
      retry_requested: 0,
    }))
    await tx.insertMany('destinations', rows, {
      columns: COLUMNS,
      conflict: {
        key: ['server_name'],
        update: ['failures', 'failing_since_ts', 'last_failed_ts', 'retry_at_ts', 'last_error'],
      },
    })
  }

  /** They answer again. */
  async delete(tx: Tx, serverNames: readonly ServerName[]): Promise<void> {
    await tx.execute(`DELETE FROM destinations WHERE ${tx.dialect.anyOf('server_name', 'text')}`, [
      tx.dialect.list(serverNames),
    ])
  }

  /**
   * Forgets those whom nobody has asked anything since long after they might have been asked again, and for whom nothing
   * waits.
   */
  async deleteUnneeded(tx: Tx, retryBefore: number): Promise<number> {
    const waits = ['missed_rooms', 'federation_outbox', 'device_list_outbox']
      .map((table) => `NOT EXISTS (SELECT 1 FROM ${table} w WHERE w.destination = destinations.server_name)`)
      .join(' AND ')
    return tx.execute(`DELETE FROM destinations WHERE retry_at_ts < ? AND retry_requested = 0 AND ${waits}`, [
      retryBefore,
    ])
  }

  /** Asks the running server to try a server now. False when that does not fail. */
  async requestRetry(tx: Tx, serverName: ServerName): Promise<boolean> {
    const changed = await tx.execute(
      'UPDATE destinations SET retry_requested = 1, retry_at_ts = 0 WHERE server_name = ?',
      [serverName],
    )
    return changed > 0
  }

  /** Those that are to be tried now. By a partial index. */
  async listRequested(q: Query, limit: number): Promise<ServerName[]> {
    const rows = await q.all<{ server_name: string }>(
      'SELECT server_name FROM destinations WHERE retry_requested = 1 LIMIT ?',
      [limit],
    )
    return rows.map((row) => row.server_name as ServerName)
  }
}

function toDestination(row: DestinationRow): FailingDestination {
  return {
    serverName: row.server_name as ServerName,
    failures: row.failures,
    failingSinceTs: row.failing_since_ts,
    lastFailedTs: row.last_failed_ts,
    retryAtTs: row.retry_at_ts,
    lastError: row.last_error,
  }
}
