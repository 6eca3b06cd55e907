import type { Query, Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'

/** Who has been active of late: for servers that may have so many people a month. */
export class ActiveUsersStore {
  async isActiveSince(q: Query, userId: UserId, since: number): Promise<boolean> {
    const row = await q.first(
      'SELECT 1 AS found FROM monthly_active_users WHERE user_id = ? AND last_active_ts >= ?',
      [userId, since],
    )
    return row !== undefined
  }

  /** Index monthly_active_users_ts. */
  async countSince(q: Query, since: number): Promise<number> {
    const row = await q.first<{ active: number }>(
      'SELECT COUNT(*) AS active FROM monthly_active_users WHERE last_active_ts >= ?',
      [since],
    )
    return row?.active ?? 0
  }

  /** The same by the application service whose users they are; those of none are under `native`. */
  async countByService(q: Query, since: number): Promise<Map<string, number>> {
    const rows = await q.all<{ service: string; active: number }>(
      `SELECT COALESCE(u.appservice_id, 'native') AS service, COUNT(*) AS active
       FROM monthly_active_users a JOIN users u ON u.user_id = a.user_id
       WHERE a.last_active_ts >= ? GROUP BY COALESCE(u.appservice_id, 'native')`,
      [since],
    )
    return new Map(rows.map(({ service, active }) => [service, active]))
  }

  async put(tx: Tx, userId: UserId, ts: number): Promise<void> {
    await tx.execute(
      `INSERT INTO monthly_active_users (user_id, last_active_ts) VALUES (?, ?)
       ON CONFLICT (user_id) DO UPDATE SET last_active_ts = excluded.last_active_ts`,
      [userId, ts],
    )
  }

  /** Index monthly_active_users_ts. */
  async deleteBefore(tx: Tx, ts: number): Promise<number> {
    return tx.execute('DELETE FROM monthly_active_users WHERE last_active_ts < ?', [ts])
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM monthly_active_users WHERE user_id = ?', [userId])
  }
}
