import type { Query, Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'

/** How often a user may send something. */
export interface RatelimitOverrideRecord {
  /** 0: as often as they like. */
  readonly perSecond: number
  readonly burstCount: number
}

/** Users whose limits are their own. */
export class RatelimitOverridesStore {
  async listAll(q: Query): Promise<Map<UserId, RatelimitOverrideRecord>> {
    const rows = await q.all<{ user_id: string; messages_per_second: number; burst_count: number }>(
      'SELECT user_id, messages_per_second, burst_count FROM ratelimit_overrides',
    )
    return new Map(
      rows.map((row) => [
        row.user_id as UserId,
        { perSecond: row.messages_per_second, burstCount: row.burst_count },
      ]),
    )
  }

  async put(tx: Tx, userId: UserId, { perSecond, burstCount }: RatelimitOverrideRecord): Promise<void> {
    await tx.execute(
      `INSERT INTO ratelimit_overrides (user_id, messages_per_second, burst_count) VALUES (?, ?, ?)
       ON CONFLICT (user_id) DO UPDATE
       SET messages_per_second = excluded.messages_per_second, burst_count = excluded.burst_count`,
      [userId, perSecond, burstCount],
    )
  }

  async delete(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM ratelimit_overrides WHERE user_id = ?', [userId])
  }
}
