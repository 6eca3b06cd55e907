import type { Query, Tx } from '../database.js'
import type { SequenceOptions } from '../streams/sequences.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'

/** Signatures of other users' keys, which only their maker sees, are in the same stream. */
export const DEVICE_LISTS_STREAM: SequenceOptions = {
  sequence: 'device_lists_stream_seq',
  table: 'device_list_changes',
  column: 'stream_id',
  alsoIn: [{ table: 'user_signature_changes', column: 'stream_id' }],
}

export interface DeviceRecord {
  readonly userId: UserId
  readonly deviceId: DeviceId
  readonly displayName: string | undefined
  readonly createdTs: number
  readonly lastSeenTs: number | undefined
  readonly lastSeenIp: string | undefined
  readonly userAgent: string | undefined
}

interface Row {
  user_id: string
  device_id: string
  display_name: string | null
  created_ts: number
  last_seen_ts: number | null
  last_seen_ip: string | null
  user_agent: string | null
}

/** Devices, and where in the stream of device lists they last changed. */
export class DevicesStore {
  async get(q: Query, userId: UserId, deviceId: string): Promise<DeviceRecord | undefined> {
    const row = await q.first<Row>('SELECT * FROM devices WHERE user_id = ? AND device_id = ?', [
      userId,
      deviceId,
    ])
    return row && toRecord(row)
  }

  /** All devices of a user, in the order of their IDs. */
  async listForUser(q: Query, userId: UserId): Promise<DeviceRecord[]> {
    const rows = await q.all<Row>('SELECT * FROM devices WHERE user_id = ? ORDER BY device_id', [userId])
    return rows.map(toRecord)
  }

  /** The devices of several users. */
  async listForUsers(q: Query, userIds: readonly UserId[]): Promise<DeviceRecord[]> {
    if (userIds.length === 0) return []
    const rows = await q.all<Row>(
      `SELECT * FROM devices WHERE ${q.dialect.anyOf('user_id', 'text')} ORDER BY user_id, device_id`,
      [q.dialect.list(userIds)],
    )
    return rows.map(toRecord)
  }

  /**
   * Devices that were last seen before a time, those of whom nothing was heard longest first. One that was never seen is
   * none of them. Index devices_last_seen.
   */
  async listStale(
    q: Query,
    beforeTs: number,
    limit: number,
  ): Promise<{ userId: UserId; deviceId: DeviceId }[]> {
    const rows = await q.all<Pick<Row, 'user_id' | 'device_id'>>(
      'SELECT user_id, device_id FROM devices WHERE last_seen_ts < ? ORDER BY last_seen_ts LIMIT ?',
      [beforeTs, limit],
    )
    return rows.map((row) => ({ userId: row.user_id as UserId, deviceId: row.device_id as DeviceId }))
  }

  /** True when the device is new; a known device stays as it is. */
  async insert(
    tx: Tx,
    device: { userId: UserId; deviceId: DeviceId; displayName: string | undefined; createdTs: number },
  ): Promise<boolean> {
    const changed = await tx.execute(
      `INSERT INTO devices (user_id, device_id, display_name, created_ts) VALUES (?, ?, ?, ?)
       ON CONFLICT (user_id, device_id) DO NOTHING`,
      [device.userId, device.deviceId, device.displayName ?? null, device.createdTs],
    )
    return changed === 1
  }

  /** Makes devices without a name; known ones stay as they are. */
  async insertMany(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[], createdTs: number): Promise<void> {
    await tx.insertMany(
      'devices',
      deviceIds.map((deviceId) => ({ user_id: userId, device_id: deviceId, created_ts: createdTs })),
      { columns: { user_id: 'text', device_id: 'text', created_ts: 'integer' }, conflict: 'ignore' },
    )
  }

  /** False when there is no such device. */
  async setDisplayName(tx: Tx, userId: UserId, deviceId: string, displayName: string): Promise<boolean> {
    const changed = await tx.execute(
      'UPDATE devices SET display_name = ? WHERE user_id = ? AND device_id = ?',
      [displayName, userId, deviceId],
    )
    return changed === 1
  }

  /** Deletes these and returns which of them were there. */
  async deleteMany(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<DeviceId[]> {
    if (deviceIds.length === 0) return []
    const rows = await tx.all<{ device_id: string }>(
      `DELETE FROM devices WHERE user_id = ? AND ${tx.dialect.anyOf('device_id', 'text')} RETURNING device_id`,
      [userId, tx.dialect.list(deviceIds)],
    )
    return rows.map((row) => row.device_id as DeviceId)
  }

  /** Says that these devices changed at these positions of the stream. */
  async recordChanges(
    tx: Tx,
    changes: readonly { userId: UserId; deviceId: string; streamId: number }[],
  ): Promise<void> {
    await tx.insertMany(
      'device_list_changes',
      changes.map(({ userId, deviceId, streamId }) => ({
        user_id: userId,
        device_id: deviceId,
        stream_id: streamId,
      })),
      {
        columns: { user_id: 'text', device_id: 'text', stream_id: 'integer' },
        conflict: { key: ['user_id', 'device_id'], update: ['stream_id'] },
      },
    )
  }

  /** Where in the stream the devices of a user last changed, without cross-signing keys; 0 for never. By primary key. */
  async getLastChange(q: Query, userId: UserId): Promise<number> {
    const row = await q.first<{ last: number | null }>(
      `SELECT MAX(stream_id) AS last FROM device_list_changes WHERE user_id = ? AND device_id <> ''`,
      [userId],
    )
    return row?.last ?? 0
  }

  /**
   * Who of these had a device change in `(from, to]`. Read by primary key prefix: as many look-ups as users, none of
   * them longer than the user's number of devices.
   */
  async listChangedUsers(
    q: Query,
    userIds: readonly UserId[],
    from: number,
    to: number,
  ): Promise<Set<UserId>> {
    if (userIds.length === 0 || from >= to) return new Set()
    const rows = await q.all<{ user_id: string }>(
      `SELECT DISTINCT user_id FROM device_list_changes
       WHERE ${q.dialect.anyOf('user_id', 'text')} AND stream_id > ? AND stream_id <= ?`,
      [q.dialect.list(userIds), from, to],
    )
    return new Set(rows.map((row) => row.user_id as UserId))
  }

  /** The devices of these users that changed after a position; '' stands for cross-signing keys. By primary key prefix. */
  async listChangedSince(
    q: Query,
    userIds: readonly UserId[],
    after: number,
  ): Promise<{ userId: UserId; deviceId: DeviceId }[]> {
    const rows = await q.all<{ user_id: string; device_id: string }>(
      `SELECT user_id, device_id FROM device_list_changes
       WHERE ${q.dialect.anyOf('user_id', 'text')} AND stream_id > ?`,
      [q.dialect.list(userIds), after],
    )
    return rows.map((row) => ({ userId: row.user_id as UserId, deviceId: row.device_id as DeviceId }))
  }

  /** Everybody whose devices changed in `(from, to]`. Index device_list_changes_stream. */
  async listAllChangedUsers(q: Query, from: number, to: number): Promise<Set<UserId>> {
    if (from >= to) return new Set()
    const rows = await q.all<{ user_id: string }>(
      'SELECT DISTINCT user_id FROM device_list_changes WHERE stream_id > ? AND stream_id <= ?',
      [from, to],
    )
    return new Set(rows.map((row) => row.user_id as UserId))
  }
}

function toRecord(row: Row): DeviceRecord {
  return {
    userId: row.user_id as UserId,
    deviceId: row.device_id as DeviceId,
    displayName: row.display_name ?? undefined,
    createdTs: row.created_ts,
    lastSeenTs: row.last_seen_ts ?? undefined,
    lastSeenIp: row.last_seen_ip ?? undefined,
    userAgent: row.user_agent ?? undefined,
  }
}
