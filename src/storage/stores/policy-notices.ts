import type { UserId } from '../../protocol/ids.js'
import type { Query, Tx } from '../database.js'

/** Who has been told of which version of the policy. */
export class PolicyNoticesStore {
  async get(q: Query, userId: UserId): Promise<string | undefined> {
    const sql = 'SELECT version FROM policy_notices WHERE user_id = ?'
    return (await q.first<{ version: string }>(sql, [userId]))?.version
  }

  async put(tx: Tx, userId: UserId, version: string): Promise<void> {
    await tx.execute(
      `INSERT INTO policy_notices (user_id, version) VALUES (?, ?)
       ON CONFLICT (user_id) DO UPDATE SET version = excluded.version`,
      [userId, version],
    )
  }
}
