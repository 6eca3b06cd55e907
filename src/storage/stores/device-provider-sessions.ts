import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { Query, Tx } from '../database.js'

interface Row {
  user_id: UserId
  device_id: DeviceId
}

/** Which devices end together with a session of the service at which their users have signed on. */
export class DeviceProviderSessionsStore {
  /** The device's session, in the place of an earlier one; undefined: it has none any more. */
  async note(
    tx: Tx,
    { userId, deviceId }: { readonly userId: UserId; readonly deviceId: DeviceId },
    session: { readonly provider: string; readonly providerSession: string } | undefined,
  ): Promise<void> {
    await this.deleteForDevices(tx, userId, [deviceId])
    if (session === undefined) return
    await tx.execute(
      `INSERT INTO device_provider_sessions (user_id, device_id, provider, provider_session)
       VALUES (?, ?, ?, ?)`,
      [userId, deviceId, session.provider, session.providerSession],
    )
  }

  /** The devices of a session, of one user or of all. Index device_provider_sessions_session. */
  async listForSession(
    q: Query,
    session: { readonly provider: string; readonly providerSession: string },
    userId?: UserId,
  ): Promise<{ userId: UserId; deviceId: DeviceId }[]> {
    const rows = await q.all<Row>(
      `SELECT user_id, device_id FROM device_provider_sessions WHERE provider = ? AND provider_session = ?
       ORDER BY user_id, device_id`,
      [session.provider, session.providerSession],
    )
    const devices = rows.map((row) => ({ userId: row.user_id, deviceId: row.device_id }))
    return userId === undefined ? devices : devices.filter((device) => device.userId === userId)
  }

  /** The user's devices in any session of a service. By primary key. */
  async listForUser(
    q: Query,
    userId: UserId,
    provider: string,
  ): Promise<{ userId: UserId; deviceId: DeviceId }[]> {
    const rows = await q.all<Row>(
      `SELECT DISTINCT user_id, device_id FROM device_provider_sessions
       WHERE user_id = ? AND provider = ? ORDER BY device_id`,
      [userId, provider],
    )
    return rows.map((row) => ({ userId: row.user_id, deviceId: row.device_id }))
  }

  async deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    await tx.execute(
      `DELETE FROM device_provider_sessions WHERE user_id = ? AND ${tx.dialect.anyOf('device_id', 'text')}`,
      [userId, tx.dialect.list(deviceIds)],
    )
  }
}
