import type { Query, Tx } from '../database.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'

/** Whose connection it is: a device has one of each ID. Requests without a device have the empty one. */
export interface ConnectionKey {
  readonly userId: UserId
  readonly deviceId: DeviceId | ''
  readonly connId: string
}

export interface ConnectionRecord extends ConnectionKey {
  readonly connectionNid: number
  /** The oldest version that the client may still come back with. */
  readonly floor: number
  readonly lastUsedTs: number
}

/** As far as the connection itself is. */
export const LIVE = -1
/** A position of a stream, `LIVE`, or undefined for never. */
export type ToldUpTo = number | undefined

/** What a connection was told of a room. */
export interface ToldRoom {
  readonly roomNid: number
  /** Events and state. */
  readonly sent: ToldUpTo
  readonly accountData: ToldUpTo
  readonly receipts: ToldUpTo
  readonly timelineLimit: number
  readonly configId: number
  readonly isDm: boolean
}

export interface ToldRoomVersion extends ToldRoom {
  readonly version: number
}

interface ConnectionRow {
  connection_nid: number
  user_id: string
  device_id: string
  conn_id: string
  floor: number
  last_used_ts: number
}

interface RoomRow {
  room_nid: number
  version: number
  sent: number | null
  account_data: number | null
  receipts: number | null
  timeline_limit: number
  config_id: number
  is_dm: number
}

const CONNECTION_COLUMNS = 'connection_nid, user_id, device_id, conn_id, floor, last_used_ts'

/** The connections of sliding sync: what each was told of which room, in versions. */
export class SlidingSyncStore {
  /** By primary key. */
  async get(q: Query, connectionNid: number): Promise<ConnectionRecord | undefined> {
    const row = await q.first<ConnectionRow>(
      `SELECT ${CONNECTION_COLUMNS} FROM sliding_sync_connections WHERE connection_nid = ?`,
      [connectionNid],
    )
    return (
      row && {
        connectionNid: row.connection_nid,
        userId: row.user_id as UserId,
        deviceId: row.device_id as DeviceId,
        connId: row.conn_id,
        floor: row.floor,
        lastUsedTs: row.last_used_ts,
      }
    )
  }

  /** All versions of all rooms that are kept, the oldest first. By primary key prefix. */
  async listRooms(q: Query, connectionNid: number): Promise<ToldRoomVersion[]> {
    const rows = await q.all<RoomRow>(
      `SELECT room_nid, version, sent, account_data, receipts, timeline_limit, config_id, is_dm
       FROM sliding_sync_rooms WHERE connection_nid = ? ORDER BY room_nid, version`,
      [connectionNid],
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      version: row.version,
      sent: row.sent ?? undefined,
      accountData: row.account_data ?? undefined,
      receipts: row.receipts ?? undefined,
      timelineLimit: row.timeline_limit,
      configId: row.config_id,
      isDm: row.is_dm === 1,
    }))
  }

  /** The required state of a connection by ID, as JSON. By primary key prefix. */
  async listConfigs(q: Query, connectionNid: number): Promise<Map<number, string>> {
    const rows = await q.all<{ config_id: number; required_state: string }>(
      'SELECT config_id, required_state FROM sliding_sync_configs WHERE connection_nid = ?',
      [connectionNid],
    )
    return new Map(rows.map((row) => [row.config_id, row.required_state]))
  }

  /** Begins a connection in the place of an earlier one with the same key; gives that one's nid. */
  async insert(tx: Tx, connection: ConnectionRecord): Promise<number | undefined> {
    const { userId, deviceId, connId } = connection
    const earlier = await tx.first<{ connection_nid: number }>(
      'SELECT connection_nid FROM sliding_sync_connections WHERE user_id = ? AND device_id = ? AND conn_id = ?',
      [userId, deviceId, connId],
    )
    if (earlier !== undefined) await this.delete(tx, [earlier.connection_nid])
    await tx.execute(
      `INSERT INTO sliding_sync_connections (${CONNECTION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`,
      [connection.connectionNid, userId, deviceId, connId, connection.floor, connection.lastUsedTs],
    )
    return earlier?.connection_nid
  }

  /** The connections of a device but for the `keep` that were used last. */
  async listSurplus(tx: Tx, { userId, deviceId }: ConnectionKey, keep: number): Promise<number[]> {
    const rows = await tx.all<{ connection_nid: number }>(
      `SELECT connection_nid FROM sliding_sync_connections WHERE user_id = ? AND device_id = ?
       ORDER BY last_used_ts DESC, connection_nid DESC`,
      [userId, deviceId],
    )
    return rows.slice(keep).map((row) => row.connection_nid)
  }

  async touch(tx: Tx, connectionNid: number, lastUsedTs: number): Promise<void> {
    await tx.execute('UPDATE sliding_sync_connections SET last_used_ts = ? WHERE connection_nid = ?', [
      lastUsedTs,
      connectionNid,
    ])
  }

  /**
   * The client has come back with a version: what is older than what holds at it goes, and what is newer was never
   * received. Index sliding_sync_rooms_version.
   */
  async settle(tx: Tx, connectionNid: number, version: number): Promise<void> {
    await tx.execute('DELETE FROM sliding_sync_rooms WHERE connection_nid = ? AND version > ?', [
      connectionNid,
      version,
    ])
    const newest = await tx.all<{ room_nid: number; version: number }>(
      `SELECT r.room_nid, r.version FROM sliding_sync_rooms r
       JOIN sliding_sync_connections c ON c.connection_nid = r.connection_nid
       WHERE r.connection_nid = ? AND r.version > c.floor`,
      [connectionNid],
    )
    await tx.execute(
      `DELETE FROM sliding_sync_rooms WHERE connection_nid = ? AND EXISTS (
         SELECT 1 FROM ${tx.dialect.rowsFrom({ room_nid: 'integer', version: 'integer' })} AS n
         WHERE n.room_nid = sliding_sync_rooms.room_nid AND sliding_sync_rooms.version < n.version)`,
      [connectionNid, tx.dialect.rows(newest.map((row) => ({ ...row })))],
    )
    await tx.execute('UPDATE sliding_sync_connections SET floor = ? WHERE connection_nid = ?', [
      version,
      connectionNid,
    ])
  }

  async putRooms(tx: Tx, connectionNid: number, rooms: readonly ToldRoomVersion[]): Promise<void> {
    await tx.insertMany(
      'sliding_sync_rooms',
      rooms.map((room) => ({
        connection_nid: connectionNid,
        room_nid: room.roomNid,
        version: room.version,
        sent: room.sent ?? null,
        account_data: room.accountData ?? null,
        receipts: room.receipts ?? null,
        timeline_limit: room.timelineLimit,
        config_id: room.configId,
        is_dm: room.isDm ? 1 : 0,
      })),
      {
        columns: {
          connection_nid: 'integer',
          room_nid: 'integer',
          version: 'integer',
          sent: 'integer',
          account_data: 'integer',
          receipts: 'integer',
          timeline_limit: 'integer',
          config_id: 'integer',
          is_dm: 'integer',
        },
        conflict: {
          key: ['connection_nid', 'room_nid', 'version'],
          update: ['sent', 'account_data', 'receipts', 'timeline_limit', 'config_id', 'is_dm'],
        },
      },
    )
  }

  async putConfigs(tx: Tx, connectionNid: number, configs: ReadonlyMap<number, string>): Promise<void> {
    if (configs.size === 0) return
    await tx.insertMany(
      'sliding_sync_configs',
      [...configs].map(([id, json]) => ({
        connection_nid: connectionNid,
        config_id: id,
        required_state: json,
      })),
      {
        columns: { connection_nid: 'integer', config_id: 'integer', required_state: 'text' },
        conflict: 'ignore',
      },
    )
  }

  /** Configs that no room of the connection has any more go. */
  async deleteUnusedConfigs(tx: Tx, connectionNid: number): Promise<void> {
    await tx.execute(
      `DELETE FROM sliding_sync_configs WHERE connection_nid = ? AND config_id NOT IN (
         SELECT config_id FROM sliding_sync_rooms WHERE connection_nid = ?)`,
      [connectionNid, connectionNid],
    )
  }

  async delete(tx: Tx, connectionNids: readonly number[]): Promise<void> {
    if (connectionNids.length === 0) return
    for (const table of ['sliding_sync_rooms', 'sliding_sync_configs', 'sliding_sync_connections']) {
      await tx.execute(`DELETE FROM ${table} WHERE ${tx.dialect.anyOf('connection_nid', 'integer')}`, [
        tx.dialect.list(connectionNids),
      ])
    }
  }

  /** Those that nobody has used since; at most `limit` at a time. Index sliding_sync_connections_used. */
  async listUnused(q: Query, beforeTs: number, limit: number): Promise<number[]> {
    const rows = await q.all<{ connection_nid: number }>(
      'SELECT connection_nid FROM sliding_sync_connections WHERE last_used_ts < ? ORDER BY last_used_ts LIMIT ?',
      [beforeTs, limit],
    )
    return rows.map((row) => row.connection_nid)
  }

  async listOfDevices(q: Query, userId: UserId, deviceIds: readonly DeviceId[]): Promise<number[]> {
    const rows = await q.all<{ connection_nid: number }>(
      `SELECT connection_nid FROM sliding_sync_connections
       WHERE user_id = ? AND ${q.dialect.anyOf('device_id', 'text')}`,
      [userId, q.dialect.list(deviceIds)],
    )
    return rows.map((row) => row.connection_nid)
  }
}
