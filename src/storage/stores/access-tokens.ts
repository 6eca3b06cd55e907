import type { Query, Tx } from '../database.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'

/** An access token and what is to be known of its user, read in one go. */
export interface AccessTokenRecord {
  readonly id: number
  readonly userId: UserId
  readonly deviceId: DeviceId | undefined
  readonly validUntilTs: number | undefined
  /** The refresh token that the access token was made with. */
  readonly refreshTokenId: number | undefined
  readonly isUsed: boolean
  /** When the user last proved with this token who they are. */
  readonly validatedTs: number | undefined
  readonly puppetedBy: UserId | undefined
  readonly user: {
    readonly isAdmin: boolean
    readonly isGuest: boolean
    readonly isDeactivated: boolean
    readonly isLocked: boolean
    readonly isSuspended: boolean
    readonly isShadowBanned: boolean
  }
}

export interface NewAccessToken {
  readonly tokenHash: string
  readonly userId: UserId
  readonly deviceId: DeviceId | undefined
  readonly createdTs: number
  readonly validUntilTs: number | undefined
  readonly refreshTokenId?: number | undefined
  readonly puppetedBy?: UserId | undefined
}

interface Row {
  id: number
  user_id: string
  device_id: string | null
  valid_until_ts: number | null
  refresh_token_id: number | null
  is_used: number
  validated_ts: number | null
  puppeted_by: string | null
  is_admin: number
  is_guest: number
  is_deactivated: number
  is_locked: number
  is_suspended: number
  is_shadow_banned: number
}

/** Access tokens by the hash of the token. */
export class AccessTokensStore {
  /** With the flags of its user. Unique index on token_hash, then the primary key of users. */
  async find(q: Query, tokenHash: string): Promise<AccessTokenRecord | undefined> {
    const row = await q.first<Row>(
      `SELECT t.id, t.user_id, t.device_id, t.valid_until_ts, t.refresh_token_id, t.is_used, t.validated_ts,
         t.puppeted_by, u.is_admin, u.is_guest, u.is_deactivated, u.is_locked, u.is_suspended, u.is_shadow_banned
       FROM access_tokens t JOIN users u ON u.user_id = t.user_id WHERE t.token_hash = ?`,
      [tokenHash],
    )
    return row && toRecord(row)
  }

  /** Returns the ID of the row. */
  async insert(tx: Tx, token: NewAccessToken): Promise<number> {
    const row = await tx.first<{ id: number }>(
      `INSERT INTO access_tokens (token_hash, user_id, device_id, created_ts, valid_until_ts, refresh_token_id, puppeted_by)
       VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id`,
      [
        token.tokenHash,
        token.userId,
        token.deviceId ?? null,
        token.createdTs,
        token.validUntilTs ?? null,
        token.refreshTokenId ?? null,
        token.puppetedBy ?? null,
      ],
    )
    if (row === undefined) throw new Error('No access token was inserted')
    return row.id
  }

  /** True for the one call that turns an unused token into a used one. */
  async markUsed(tx: Tx, id: number): Promise<boolean> {
    return (await tx.execute('UPDATE access_tokens SET is_used = 1 WHERE id = ? AND is_used = 0', [id])) === 1
  }

  async setValidated(tx: Tx, id: number, ts: number): Promise<void> {
    await tx.execute('UPDATE access_tokens SET validated_ts = ? WHERE id = ?', [ts, id])
  }

  /** When the user last proved who they are with this token. By primary key. */
  async getValidatedTs(q: Query, id: number): Promise<number | undefined> {
    const row = await q.first<{ validated_ts: number | null }>(
      'SELECT validated_ts FROM access_tokens WHERE id = ?',
      [id],
    )
    return row?.validated_ts ?? undefined
  }

  async delete(tx: Tx, id: number): Promise<void> {
    await tx.execute('DELETE FROM access_tokens WHERE id = ?', [id])
  }

  /** The tokens made with these refresh tokens. Index access_tokens_refresh. */
  async deleteByRefreshTokens(tx: Tx, refreshTokenIds: readonly number[]): Promise<void> {
    if (refreshTokenIds.length === 0) return
    await tx.execute(`DELETE FROM access_tokens WHERE ${tx.dialect.anyOf('refresh_token_id', 'integer')}`, [
      tx.dialect.list(refreshTokenIds),
    ])
  }

  /** Index access_tokens_device. */
  async deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    if (deviceIds.length === 0) return
    await tx.execute(
      `DELETE FROM access_tokens WHERE user_id = ? AND ${tx.dialect.anyOf('device_id', 'text')}`,
      [userId, tx.dialect.list(deviceIds)],
    )
  }

  /** Those that expired before a time and cannot be refreshed any more. Index access_tokens_expiry. */
  async deleteExpired(tx: Tx, before: number): Promise<number> {
    return tx.execute(
      `DELETE FROM access_tokens WHERE valid_until_ts < ? AND (refresh_token_id IS NULL
         OR NOT EXISTS (SELECT 1 FROM refresh_tokens r WHERE r.id = access_tokens.refresh_token_id))`,
      [before],
    )
  }

  /** All tokens of a user, those without a device too, but for the one with `exceptId`. */
  async deleteForUser(
    tx: Tx,
    userId: UserId,
    options: { exceptId?: number | undefined } = {},
  ): Promise<void> {
    await tx.execute('DELETE FROM access_tokens WHERE user_id = ? AND id <> ?', [
      userId,
      options.exceptId ?? -1,
    ])
  }
}

function toRecord(row: Row): AccessTokenRecord {
  return {
    id: row.id,
    userId: row.user_id as UserId,
    deviceId: (row.device_id ?? undefined) as DeviceId | undefined,
    validUntilTs: row.valid_until_ts ?? undefined,
    refreshTokenId: row.refresh_token_id ?? undefined,
    isUsed: row.is_used === 1,
    validatedTs: row.validated_ts ?? undefined,
    puppetedBy: (row.puppeted_by ?? undefined) as UserId | undefined,
    user: {
      isAdmin: row.is_admin === 1,
      isGuest: row.is_guest === 1,
      isDeactivated: row.is_deactivated === 1,
      isLocked: row.is_locked === 1,
      isSuspended: row.is_suspended === 1,
      isShadowBanned: row.is_shadow_banned === 1,
    },
  }
}
