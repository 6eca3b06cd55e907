import type { UserId } from '../../protocol/ids.js'
import type { Query, Tx } from '../database.js'

/** An identifier that an identity server has been told belongs to a user. */
export interface IdentityBinding {
  readonly medium: string
  readonly address: string
  readonly idServer: string
}

/** What identity servers have been told about local users. */
export class IdentityBindingsStore {
  /** By primary key prefix. */
  async list(q: Query, userId: UserId): Promise<IdentityBinding[]> {
    const rows = await q.all<{ medium: string; address: string; id_server: string }>(
      `SELECT medium, address, id_server FROM identity_bindings WHERE user_id = ?
       ORDER BY medium, address, id_server`,
      [userId],
    )
    return rows.map(({ medium, address, id_server: idServer }) => ({ medium, address, idServer }))
  }

  /** Does nothing for what is known already. */
  async insert(tx: Tx, userId: UserId, { medium, address, idServer }: IdentityBinding): Promise<void> {
    await tx.execute(
      `INSERT INTO identity_bindings (user_id, medium, address, id_server) VALUES (?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
      [userId, medium, address, idServer],
    )
  }

  async delete(tx: Tx, userId: UserId, { medium, address, idServer }: IdentityBinding): Promise<void> {
    await tx.execute(
      `DELETE FROM identity_bindings WHERE user_id = ? AND medium = ? AND address = ? AND id_server = ?`,
      [userId, medium, address, idServer],
    )
  }
}
