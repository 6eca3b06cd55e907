import type { Query, Tx } from '../database.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'

/** A device that receives messages while its user is logged in nowhere. */
export interface DehydratedDeviceRecord {
  readonly deviceId: DeviceId
  /** The device itself, encrypted for its user. */
  readonly data: JsonObject
}

/** Each user's dehydrated device, if they have one. */
export class DehydratedDevicesStore {
  async get(q: Query, userId: UserId): Promise<DehydratedDeviceRecord | undefined> {
    const row = await q.first<{ device_id: string; data: string }>(
      'SELECT device_id, data FROM dehydrated_devices WHERE user_id = ?',
      [userId],
    )
    return row && { deviceId: row.device_id as DeviceId, data: JSON.parse(row.data) as JsonObject }
  }

  async set(tx: Tx, userId: UserId, { deviceId, data }: DehydratedDeviceRecord): Promise<void> {
    await tx.execute(
      `INSERT INTO dehydrated_devices (user_id, device_id, data) VALUES (?, ?, ?)
       ON CONFLICT (user_id) DO UPDATE SET device_id = excluded.device_id, data = excluded.data`,
      [userId, deviceId, JSON.stringify(data)],
    )
  }

  /** Deletes it where it is one of these devices. */
  async deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    await tx.execute(
      `DELETE FROM dehydrated_devices WHERE user_id = ? AND ${tx.dialect.anyOf('device_id', 'text')}`,
      [userId, tx.dialect.list(deviceIds)],
    )
  }
}
