import type { Query, Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'

/** An e-mail address or telephone number that belongs to a user. */
export interface ThreepidRecord {
  readonly medium: string
  /** In canonical form. */
  readonly address: string
  readonly validatedTs: number
  readonly addedTs: number
}

/** Third-party identifiers of local users. */
export class ThreepidsStore {
  /** Whose identifier it is. By primary key. */
  async findOwner(q: Query, medium: string, address: string): Promise<UserId | undefined> {
    const row = await q.first<{ user_id: string }>(
      'SELECT user_id FROM user_threepids WHERE medium = ? AND address = ?',
      [medium, address],
    )
    return row?.user_id as UserId | undefined
  }

  /** Index user_threepids_user. */
  async listForUser(q: Query, userId: UserId): Promise<ThreepidRecord[]> {
    const rows = await q.all<{ medium: string; address: string; validated_ts: number; added_ts: number }>(
      'SELECT medium, address, validated_ts, added_ts FROM user_threepids WHERE user_id = ? ORDER BY medium, address',
      [userId],
    )
    return rows.map((row) => ({
      medium: row.medium,
      address: row.address,
      validatedTs: row.validated_ts,
      addedTs: row.added_ts,
    }))
  }

  /** False when the identifier belongs to somebody. */
  async insert(tx: Tx, userId: UserId, threepid: ThreepidRecord): Promise<boolean> {
    const changed = await tx.execute(
      `INSERT INTO user_threepids (medium, address, user_id, validated_ts, added_ts) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (medium, address) DO NOTHING`,
      [threepid.medium, threepid.address, userId, threepid.validatedTs, threepid.addedTs],
    )
    return changed === 1
  }

  /** False when it is not theirs. */
  async delete(
    tx: Tx,
    userId: UserId,
    { medium, address }: { medium: string; address: string },
  ): Promise<boolean> {
    const changed = await tx.execute(
      'DELETE FROM user_threepids WHERE medium = ? AND address = ? AND user_id = ?',
      [medium, address, userId],
    )
    return changed === 1
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM user_threepids WHERE user_id = ?', [userId])
  }
}
