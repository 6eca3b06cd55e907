import type { Query, Tx } from '../database.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'

export interface RefreshTokenRecord {
  readonly id: number
  readonly userId: UserId
  readonly deviceId: DeviceId
  /** The token that was given out in exchange for this one. */
  readonly nextTokenId: number | undefined
  readonly expiryTs: number | undefined
  /** When the login ends, however often it is refreshed. */
  readonly sessionExpiryTs: number | undefined
}

export interface NewRefreshToken {
  readonly tokenHash: string
  readonly userId: UserId
  readonly deviceId: DeviceId
  readonly expiryTs: number | undefined
  readonly sessionExpiryTs: number | undefined
}

interface Row {
  id: number
  user_id: string
  device_id: string
  next_token_id: number | null
  expiry_ts: number | null
  session_expiry_ts: number | null
}

/** Refresh tokens by the hash of the token. */
export class RefreshTokensStore {
  async find(q: Query, tokenHash: string): Promise<RefreshTokenRecord | undefined> {
    const row = await q.first<Row>(
      `SELECT id, user_id, device_id, next_token_id, expiry_ts, session_expiry_ts FROM refresh_tokens
       WHERE token_hash = ?`,
      [tokenHash],
    )
    return row && toRecord(row)
  }

  /** Returns the ID of the row. */
  async insert(tx: Tx, token: NewRefreshToken): Promise<number> {
    const row = await tx.first<{ id: number }>(
      `INSERT INTO refresh_tokens (token_hash, user_id, device_id, expiry_ts, session_expiry_ts)
       VALUES (?, ?, ?, ?, ?) RETURNING id`,
      [token.tokenHash, token.userId, token.deviceId, token.expiryTs ?? null, token.sessionExpiryTs ?? null],
    )
    if (row === undefined) throw new Error('No refresh token was inserted')
    return row.id
  }

  async setNext(tx: Tx, id: number, nextTokenId: number): Promise<void> {
    await tx.execute('UPDATE refresh_tokens SET next_token_id = ? WHERE id = ?', [nextTokenId, id])
  }

  /** Deletes what this token replaced and returns those IDs. Index refresh_tokens_next. */
  async deletePredecessors(tx: Tx, id: number): Promise<number[]> {
    const rows = await tx.all<{ id: number }>(
      'DELETE FROM refresh_tokens WHERE next_token_id = ? RETURNING id',
      [id],
    )
    return rows.map((row) => row.id)
  }

  async delete(tx: Tx, id: number): Promise<void> {
    await tx.execute('DELETE FROM refresh_tokens WHERE id = ?', [id])
  }

  /** Index refresh_tokens_device. */
  async deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    if (deviceIds.length === 0) return
    await tx.execute(
      `DELETE FROM refresh_tokens WHERE user_id = ? AND ${tx.dialect.anyOf('device_id', 'text')}`,
      [userId, tx.dialect.list(deviceIds)],
    )
  }

  /** Those that expired before a time. Index refresh_tokens_expiry. */
  async deleteExpired(tx: Tx, before: number): Promise<number> {
    return tx.execute('DELETE FROM refresh_tokens WHERE expiry_ts < ?', [before])
  }

  /** All tokens of a user but for those of one device. */
  async deleteForUser(
    tx: Tx,
    userId: UserId,
    options: { exceptDeviceId?: string | undefined } = {},
  ): Promise<void> {
    if (options.exceptDeviceId === undefined) {
      await tx.execute('DELETE FROM refresh_tokens WHERE user_id = ?', [userId])
      return
    }
    await tx.execute('DELETE FROM refresh_tokens WHERE user_id = ? AND device_id <> ?', [
      userId,
      options.exceptDeviceId,
    ])
  }
}

function toRecord(row: Row): RefreshTokenRecord {
  return {
    id: row.id,
    userId: row.user_id as UserId,
    deviceId: row.device_id as DeviceId,
    nextTokenId: row.next_token_id ?? undefined,
    expiryTs: row.expiry_ts ?? undefined,
    sessionExpiryTs: row.session_expiry_ts ?? undefined,
  }
}
