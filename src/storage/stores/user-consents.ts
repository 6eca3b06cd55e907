import type { UserId } from '../../protocol/ids.js'
import type { Query, Tx } from '../database.js'

/** A user's agreement to the server's policy. */
export interface UserConsent {
  readonly version: string
  /** Undefined where only the fact has come down. */
  readonly ts: number | undefined
}

/** Who has agreed to which version of the policy. */
export class UserConsentsStore {
  async get(q: Query, userId: UserId): Promise<UserConsent | undefined> {
    const row = await q.first<{ version: string; ts: number | null }>(
      'SELECT version, ts FROM user_consents WHERE user_id = ?',
      [userId],
    )
    return row && { version: row.version, ts: row.ts ?? undefined }
  }

  async put(tx: Tx, userId: UserId, { version, ts }: UserConsent): Promise<void> {
    await tx.execute(
      `INSERT INTO user_consents (user_id, version, ts) VALUES (?, ?, ?)
       ON CONFLICT (user_id) DO UPDATE SET version = excluded.version, ts = excluded.ts`,
      [userId, version, ts ?? null],
    )
  }
}
