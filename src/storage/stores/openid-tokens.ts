import type { Query, Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'

/** Tokens with which users prove to other services who they are, by the hash of the token. */
export class OpenIdTokensStore {
  async insert(tx: Tx, token: { tokenHash: string; userId: UserId; expiryTs: number }): Promise<void> {
    await tx.execute('INSERT INTO openid_tokens (token_hash, user_id, expiry_ts) VALUES (?, ?, ?)', [
      token.tokenHash,
      token.userId,
      token.expiryTs,
    ])
  }

  /** Whose token it is, unless it has expired or the account has ended. By primary key. */
  async findOwner(q: Query, tokenHash: string, now: number): Promise<UserId | undefined> {
    const row = await q.first<{ user_id: string }>(
      `SELECT t.user_id FROM openid_tokens t JOIN users u ON u.user_id = t.user_id
       WHERE t.token_hash = ? AND t.expiry_ts > ? AND u.is_deactivated = 0`,
      [tokenHash, now],
    )
    return row?.user_id as UserId | undefined
  }

  /** Index openid_tokens_user. */
  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM openid_tokens WHERE user_id = ?', [userId])
  }

  /** Index openid_tokens_expiry. */
  async deleteExpired(tx: Tx, now: number): Promise<number> {
    return tx.execute('DELETE FROM openid_tokens WHERE expiry_ts <= ?', [now])
  }
}
