import type { Query, Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'

/** As whom somebody is known to a service by which people log in. */
export interface ExternalId {
  readonly authProvider: string
  readonly externalId: string
}

/** As whom users are known to the services by which they log in. */
export class ExternalIdsStore {
  /** Whether one of these IDs is that of somebody other than this user. */
  async isAnyTaken(q: Query, userId: UserId, ids: readonly ExternalId[]): Promise<boolean> {
    if (ids.length === 0) return false
    const taken = await q.first(
      `SELECT 1 AS found FROM ${q.dialect.rowsFrom({ auth_provider: 'text', external_id: 'text' })} AS r
       JOIN user_external_ids x ON x.auth_provider = r.auth_provider AND x.external_id = r.external_id
       WHERE x.user_id <> ? LIMIT 1`,
      [q.dialect.rows(toRows(ids)), userId],
    )
    return taken !== undefined
  }

  /** Whose ID this is. By primary key. */
  async findOwner(q: Query, { authProvider, externalId }: ExternalId): Promise<UserId | undefined> {
    const row = await q.first<{ user_id: UserId }>(
      'SELECT user_id FROM user_external_ids WHERE auth_provider = ? AND external_id = ?',
      [authProvider, externalId],
    )
    return row?.user_id
  }

  /** Index user_external_ids_user. */
  async list(q: Query, userId: UserId): Promise<ExternalId[]> {
    const rows = await q.all<{ auth_provider: string; external_id: string }>(
      `SELECT auth_provider, external_id FROM user_external_ids WHERE user_id = ?
       ORDER BY auth_provider, external_id`,
      [userId],
    )
    return rows.map((row) => ({ authProvider: row.auth_provider, externalId: row.external_id }))
  }

  /** Gives a user one more. False, and nothing is changed, where it is somebody's. */
  async insert(tx: Tx, userId: UserId, { authProvider, externalId }: ExternalId): Promise<boolean> {
    const inserted = await tx.execute(
      `INSERT INTO user_external_ids (auth_provider, external_id, user_id) VALUES (?, ?, ?)
       ON CONFLICT (auth_provider, external_id) DO NOTHING`,
      [authProvider, externalId, userId],
    )
    return inserted === 1
  }

  /** Gives a user these IDs in the place of those that they had. False, and nothing is changed, where one is another's. */
  async replace(tx: Tx, userId: UserId, ids: readonly ExternalId[]): Promise<boolean> {
    if (await this.isAnyTaken(tx, userId, ids)) return false
    const rows = toRows(ids)
    await tx.execute('DELETE FROM user_external_ids WHERE user_id = ?', [userId])
    const columns = { auth_provider: 'text', external_id: 'text', user_id: 'text' } as const
    if (rows.length > 0) {
      await tx.insertMany(
        'user_external_ids',
        rows.map((row) => ({ ...row, user_id: userId })),
        { columns, conflict: 'ignore' },
      )
    }
    return true
  }
}

function toRows(ids: readonly ExternalId[]): { auth_provider: string; external_id: string }[] {
  return ids.map(({ authProvider, externalId }) => ({ auth_provider: authProvider, external_id: externalId }))
}
