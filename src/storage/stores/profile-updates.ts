import type { Query, Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'

/** Part of a profile that memberships repeat. */
export type MemberField = 'displayname' | 'avatar_url'

/** Changes of profiles that have yet to reach all the user's memberships: they outlive the process. */
export class ProfileUpdatesStore {
  async insert(tx: Tx, userId: UserId, field: MemberField): Promise<void> {
    await tx.execute(
      'INSERT INTO pending_profile_updates (user_id, field) VALUES (?, ?) ON CONFLICT DO NOTHING',
      [userId, field],
    )
  }

  async listFields(q: Query, userId: UserId): Promise<MemberField[]> {
    const rows = await q.all<{ field: string }>(
      'SELECT field FROM pending_profile_updates WHERE user_id = ?',
      [userId],
    )
    return rows.map((row) => row.field as MemberField)
  }

  async listUsers(q: Query): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>(
      'SELECT DISTINCT user_id FROM pending_profile_updates ORDER BY user_id',
    )
    return rows.map((row) => row.user_id as UserId)
  }

  async delete(tx: Tx, userId: UserId, fields: readonly MemberField[]): Promise<void> {
    await tx.execute(
      `DELETE FROM pending_profile_updates WHERE user_id = ? AND ${tx.dialect.anyOf('field', 'text')}`,
      [userId, tx.dialect.list(fields)],
    )
  }
}
