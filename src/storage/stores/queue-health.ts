import type { Query } from '../database.js'

/** An application service that does not take what it is sent. */
export interface FailingAppservice {
  readonly id: string
  readonly failingSinceTs: number
  readonly lastError: string
}

/** How much goes out, for reports. */
export class QueueHealthStore {
  /** How many other servers' keys are known: with so many this server has had to do. */
  async countKnownServers(q: Query): Promise<number> {
    const row = await q.first<{ n: number }>('SELECT COUNT(DISTINCT server_name) AS n FROM server_keys')
    return row?.n ?? 0
  }

  /** Those that have failed longest first. */
  async listFailingAppservices(q: Query, limit: number): Promise<FailingAppservice[]> {
    const rows = await q.all<{ id: string; since: number; error: string | null }>(
      `SELECT appservice_id AS id, failing_since_ts AS since, last_error AS error FROM appservice_state
       WHERE failing_since_ts IS NOT NULL ORDER BY failing_since_ts LIMIT ?`,
      [limit],
    )
    return rows.map(({ id, since, error }) => ({ id, failingSinceTs: since, lastError: error ?? 'unknown' }))
  }
}
