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

const COLUMNS = {
  medium: 'text',
  address: 'text',
  user_id: 'text',
  validated_ts: 'integer',
  added_ts: 'integer',
} as const

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

  /** Of these, those that are somebody's, with whose. */
  async listOwned(
    q: Query,
    identifiers: readonly Pick<ThreepidRecord, 'medium' | 'address'>[],
  ): Promise<{ medium: string; address: string; userId: UserId }[]> {
    const source = q.dialect.rowsFrom({ medium: 'text', address: 'text' })
    const rows = await q.all<{ medium: string; address: string; user_id: string }>(
      `SELECT t.medium, t.address, t.user_id FROM ${source} AS r
       JOIN user_threepids t ON t.medium = r.medium AND t.address = r.address`,
      [q.dialect.rows(identifiers.map(({ medium, address }) => ({ medium, address })))],
    )
    return rows.map((row) => ({ medium: row.medium, address: row.address, userId: row.user_id as UserId }))
  }

  /** Those that are somebody's already are left out. */
  async insertMany(tx: Tx, userId: UserId, threepids: readonly ThreepidRecord[]): Promise<void> {
    const rows = threepids.map((threepid) => toRow(userId, threepid))
    await tx.insertMany('user_threepids', rows, { columns: COLUMNS, conflict: 'ignore' })
  }

  /** As `insertMany`, but those that are somebody's become this user's. */
  async takeMany(tx: Tx, userId: UserId, threepids: readonly ThreepidRecord[]): Promise<void> {
    const rows = threepids.map((threepid) => toRow(userId, threepid))
    const conflict = { key: ['medium', 'address'], update: ['user_id', 'validated_ts', 'added_ts'] }
    await tx.insertMany('user_threepids', rows, { columns: COLUMNS, conflict })
  }

  /** Of these addresses of a medium, those that are the user's. */
  async deleteMany(tx: Tx, userId: UserId, medium: string, addresses: readonly string[]): Promise<void> {
    if (addresses.length === 0) return
    await tx.execute(
      `DELETE FROM user_threepids WHERE medium = ? AND user_id = ? AND ${tx.dialect.anyOf('address', 'text')}`,
      [medium, userId, tx.dialect.list(addresses)],
    )
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM user_threepids WHERE user_id = ?', [userId])
  }
}

function toRow(userId: UserId, { medium, address, validatedTs, addedTs }: ThreepidRecord) {
  return { medium, address, user_id: userId, validated_ts: validatedTs, added_ts: addedTs }
}
