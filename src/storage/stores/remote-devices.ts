import type { Query, Tx } from '../database.js'
import type { DeviceId, RoomId, UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'
import type { DeviceKeysRecord } from './e2e-keys.js'

/** The devices of another server's user, as they were when we fetched them and with the changes that we were told of. */
export interface RemoteDeviceList {
  readonly userId: UserId
  /** As the user's server counts; undefined where it did not say. */
  readonly streamId: string | undefined
  /** The position of our events stream before the list was fetched. */
  readonly fetchedAt: number
  /** A change was missed. */
  readonly isStale: boolean
}

interface ListRow {
  user_id: string
  stream_id: string | null
  fetched_at: number
  is_stale: number
}

/** Somebody of this server is in the room `o`, both already when the list `l` was fetched, and nothing was missed. */
const FOLLOWED = `o.user_id = l.user_id AND o.membership = 'join' AND o.stream_ordering <= l.fetched_at
  AND EXISTS (SELECT 1 FROM room_members m WHERE m.room_nid = o.room_nid AND m.membership = 'join'
    AND m.is_local = 1 AND m.stream_ordering <= l.fetched_at)
  AND NOT EXISTS (SELECT 1 FROM partial_state_rooms p JOIN events j ON j.event_nid = p.join_nid
    WHERE p.room_nid = o.room_nid AND o.stream_ordering <= j.stream_ordering)`

/** Devices of other servers' users. */
export class RemoteDevicesStore {
  async getList(q: Query, userId: UserId): Promise<RemoteDeviceList | undefined> {
    const row = await q.first<ListRow>('SELECT * FROM remote_device_lists WHERE user_id = ?', [userId])
    return (
      row && {
        userId: row.user_id as UserId,
        streamId: row.stream_id ?? undefined,
        fetchedAt: row.fetched_at,
        isStale: row.is_stale === 1,
      }
    )
  }

  /**
   * Whose lists are as their servers have them: their changes have been told us since they were fetched. Indexes
   * room_members_user, room_members_membership.
   */
  async listFresh(q: Query, userIds: readonly UserId[]): Promise<Set<UserId>> {
    if (userIds.length === 0) return new Set()
    const rows = await q.all<{ user_id: string }>(
      `SELECT l.user_id FROM remote_device_lists l
       WHERE ${q.dialect.anyOf('l.user_id', 'text')} AND l.is_stale = 0
         AND EXISTS (SELECT 1 FROM room_members o WHERE ${FOLLOWED})`,
      [q.dialect.list(userIds)],
    )
    return new Set(rows.map((row) => row.user_id as UserId))
  }

  /** Who of these is in a room with somebody of this server: their server tells us of changes. */
  async listFollowable(q: Query, userIds: readonly UserId[]): Promise<Set<UserId>> {
    if (userIds.length === 0) return new Set()
    const rows = await q.all<{ user_id: string }>(
      `SELECT w.user_id FROM ${q.dialect.rowsFrom({ user_id: 'text' })} AS w WHERE EXISTS (
         SELECT 1 FROM room_members o JOIN room_members m
           ON m.room_nid = o.room_nid AND m.membership = 'join' AND m.is_local = 1
         WHERE o.user_id = w.user_id AND o.membership = 'join')`,
      [q.dialect.rows(userIds.map((userId) => ({ user_id: userId })))],
    )
    return new Set(rows.map((row) => row.user_id as UserId))
  }

  /** The rooms that any of these users share with somebody of this server. Index room_members_user. */
  async listSharedRooms(q: Query, userIds: readonly UserId[]): Promise<RoomId[]> {
    if (userIds.length === 0) return []
    const rows = await q.all<{ room_id: string }>(
      `SELECT DISTINCT r.room_id FROM room_members o JOIN rooms r ON r.room_nid = o.room_nid
       WHERE ${q.dialect.anyOf('o.user_id', 'text')} AND o.membership = 'join' AND EXISTS (SELECT 1 FROM room_members m
         WHERE m.room_nid = o.room_nid AND m.membership = 'join' AND m.is_local = 1)`,
      [q.dialect.list(userIds)],
    )
    return rows.map((row) => row.room_id as RoomId)
  }

  /** Lists of which a change was missed. Index remote_device_lists_stale. */
  async listStale(q: Query, limit: number, after = ''): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>(
      `SELECT user_id FROM remote_device_lists WHERE is_stale = 1 AND user_id > ? ORDER BY user_id LIMIT ?`,
      [after, limit],
    )
    return rows.map((row) => row.user_id as UserId)
  }

  /** Lists of a server's users of which a change was missed. Index remote_device_lists_stale. */
  async listStaleOf(q: Query, pattern: string, limit: number): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>(
      `SELECT user_id FROM remote_device_lists WHERE is_stale = 1 AND user_id LIKE ? ESCAPE '!' LIMIT ?`,
      [pattern, limit],
    )
    return rows.map((row) => row.user_id as UserId)
  }

  async putList(tx: Tx, list: RemoteDeviceList): Promise<void> {
    await tx.execute(
      `INSERT INTO remote_device_lists (user_id, stream_id, fetched_at, is_stale) VALUES (?, ?, ?, ?)
       ON CONFLICT (user_id) DO UPDATE SET
         stream_id = excluded.stream_id, fetched_at = excluded.fetched_at, is_stale = excluded.is_stale`,
      [list.userId, list.streamId ?? null, list.fetchedAt, list.isStale ? 1 : 0],
    )
  }

  async setStreamId(tx: Tx, userId: UserId, streamId: string): Promise<void> {
    await tx.execute('UPDATE remote_device_lists SET stream_id = ? WHERE user_id = ?', [streamId, userId])
  }

  async markStale(tx: Tx, userIds: readonly UserId[]): Promise<void> {
    if (userIds.length === 0) return
    await tx.execute(
      `UPDATE remote_device_lists SET is_stale = 1 WHERE ${tx.dialect.anyOf('user_id', 'text')}`,
      [tx.dialect.list(userIds)],
    )
  }

  /** Forgets a list: the user is not followed any more. */
  async forget(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM remote_device_lists WHERE user_id = ?', [userId])
    await tx.execute('DELETE FROM remote_devices WHERE user_id = ?', [userId])
  }

  /** Devices of these users, in the order of users and devices. By primary key prefix. */
  async listDevices(q: Query, userIds: readonly UserId[]): Promise<DeviceKeysRecord[]> {
    if (userIds.length === 0) return []
    const rows = await q.all<{
      user_id: string
      device_id: string
      keys: string
      display_name: string | null
    }>(
      `SELECT * FROM remote_devices WHERE ${q.dialect.anyOf('user_id', 'text')} ORDER BY user_id, device_id`,
      [q.dialect.list(userIds)],
    )
    return rows.map((row) => ({
      userId: row.user_id as UserId,
      deviceId: row.device_id as DeviceId,
      keys: JSON.parse(row.keys) as JsonObject,
      displayName: row.display_name ?? undefined,
    }))
  }

  /** How many devices a user has. */
  async countDevices(q: Query, userId: UserId): Promise<number> {
    const row = await q.first<{ count: number }>(
      'SELECT COUNT(*) AS count FROM remote_devices WHERE user_id = ?',
      [userId],
    )
    return row?.count ?? 0
  }

  /** All devices of a user, in place of those that are known. */
  async replaceDevices(tx: Tx, userId: UserId, devices: readonly DeviceKeysRecord[]): Promise<void> {
    await tx.execute('DELETE FROM remote_devices WHERE user_id = ?', [userId])
    await this.putDevices(tx, devices)
  }

  async putDevices(tx: Tx, devices: readonly DeviceKeysRecord[]): Promise<void> {
    await tx.insertMany(
      'remote_devices',
      devices.map(({ userId, deviceId, keys, displayName }) => ({
        user_id: userId,
        device_id: deviceId,
        keys: JSON.stringify(keys),
        display_name: displayName ?? null,
      })),
      {
        columns: { user_id: 'text', device_id: 'text', keys: 'text', display_name: 'text' },
        conflict: { key: ['user_id', 'device_id'], update: ['keys', 'display_name'] },
      },
    )
  }

  async deleteDevice(tx: Tx, userId: UserId, deviceId: string): Promise<void> {
    await tx.execute('DELETE FROM remote_devices WHERE user_id = ? AND device_id = ?', [userId, deviceId])
  }
}
