import type { Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'

/** Tokens that log in once, by the hash of the token. */
export class LoginTokensStore {
  async insert(tx: Tx, token: { tokenHash: string; userId: UserId; expiryTs: number }): Promise<void> {
    await tx.execute('INSERT INTO login_tokens (token_hash, user_id, expiry_ts) VALUES (?, ?, ?)', [
      token.tokenHash,
      token.userId,
      token.expiryTs,
    ])
  }

  /** Takes the token away: of any number of callers one gets it. */
  async consume(tx: Tx, tokenHash: string): Promise<{ userId: UserId; expiryTs: number } | undefined> {
    const row = await tx.first<{ user_id: string; expiry_ts: number }>(
      'DELETE FROM login_tokens WHERE token_hash = ? RETURNING user_id, expiry_ts',
      [tokenHash],
    )
    return row && { userId: row.user_id as UserId, expiryTs: row.expiry_ts }
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM login_tokens WHERE user_id = ?', [userId])
  }

  async deleteExpired(tx: Tx, now: number): Promise<number> {
    return tx.execute('DELETE FROM login_tokens WHERE expiry_ts < ?', [now])
  }
}
