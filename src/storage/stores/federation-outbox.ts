import type { Query, Tx } from '../database.js'
import type { DeviceId, ServerName, UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'

/** An EDU that waits until a destination has it. */
export interface OutboxEdu {
  readonly destination: ServerName
  readonly eduId: number
  readonly type: string
  readonly content: JsonObject
}

/** A change of a device that a destination has not been told. */
export interface OutboxDeviceChange {
  readonly destination: ServerName
  readonly userId: UserId
  /** Empty for the user's cross-signing keys. */
  readonly deviceId: DeviceId
  readonly streamId: number
}

/** What must reach other servers however long they are away, in order. */
export class FederationOutboxStore {
  async insertEdus(tx: Tx, edus: readonly OutboxEdu[], createdTs: number): Promise<void> {
    await tx.insertMany(
      'federation_outbox',
      edus.map(({ destination, eduId, type, content }) => ({
        destination,
        edu_id: eduId,
        edu_type: type,
        content: JSON.stringify(content),
        created_ts: createdTs,
      })),
      {
        columns: {
          destination: 'text',
          edu_id: 'integer',
          edu_type: 'text',
          content: 'text',
          created_ts: 'integer',
        },
      },
    )
  }

  /** The oldest of a destination. By primary key prefix. */
  async listEdus(q: Query, destination: ServerName, limit: number): Promise<OutboxEdu[]> {
    const rows = await q.all<{ edu_id: number; edu_type: string; content: string }>(
      'SELECT edu_id, edu_type, content FROM federation_outbox WHERE destination = ? ORDER BY edu_id LIMIT ?',
      [destination, limit],
    )
    return rows.map((row) => ({
      destination,
      eduId: row.edu_id,
      type: row.edu_type,
      content: JSON.parse(row.content) as JsonObject,
    }))
  }

  async deleteEdus(tx: Tx, destination: ServerName, eduIds: readonly number[]): Promise<void> {
    if (eduIds.length === 0) return
    await tx.execute(
      `DELETE FROM federation_outbox WHERE destination = ? AND ${tx.dialect.anyOf('edu_id', 'integer')}`,
      [destination, tx.dialect.list(eduIds)],
    )
  }

  /** Gives up EDUs that are older. Index federation_outbox_ts. */
  async deleteOldEdus(tx: Tx, beforeTs: number): Promise<number> {
    return tx.execute('DELETE FROM federation_outbox WHERE created_ts < ?', [beforeTs])
  }

  /** Gives up the oldest EDUs of destinations that have more than `max`; by primary key prefix. */
  async trim(tx: Tx, destinations: readonly ServerName[], max: number): Promise<void> {
    if (destinations.length === 0) return
    await tx.execute(
      `DELETE FROM federation_outbox WHERE ${tx.dialect.anyOf('destination', 'text')} AND edu_id <= (
         SELECT o.edu_id FROM federation_outbox o WHERE o.destination = federation_outbox.destination
         ORDER BY o.edu_id DESC LIMIT 1 OFFSET ?)`,
      [tx.dialect.list(destinations), max],
    )
  }

  /** Each instead of an earlier change of the same device. */
  async putDeviceChanges(tx: Tx, changes: readonly OutboxDeviceChange[]): Promise<void> {
    await tx.insertMany(
      'device_list_outbox',
      changes.map(({ destination, userId, deviceId, streamId }) => ({
        destination,
        user_id: userId,
        device_id: deviceId,
        stream_id: streamId,
      })),
      {
        columns: { destination: 'text', user_id: 'text', device_id: 'text', stream_id: 'integer' },
        conflict: { key: ['destination', 'user_id', 'device_id'], update: ['stream_id'] },
      },
    )
  }

  /** The oldest of a destination, in order. Index device_list_outbox_stream. */
  async listDeviceChanges(q: Query, destination: ServerName, limit: number): Promise<OutboxDeviceChange[]> {
    const rows = await q.all<{ user_id: string; device_id: string; stream_id: number }>(
      `SELECT user_id, device_id, stream_id FROM device_list_outbox WHERE destination = ?
       ORDER BY stream_id LIMIT ?`,
      [destination, limit],
    )
    return rows.map((row) => ({
      destination,
      userId: row.user_id as UserId,
      deviceId: row.device_id as DeviceId,
      streamId: row.stream_id,
    }))
  }

  /** The last changes that a destination was told of these users. By primary key. */
  async listDeviceListsSent(
    q: Query,
    destination: ServerName,
    userIds: readonly UserId[],
  ): Promise<Map<UserId, number>> {
    if (userIds.length === 0) return new Map()
    const rows = await q.all<{ user_id: string; stream_id: number }>(
      `SELECT user_id, stream_id FROM device_list_sent
       WHERE destination = ? AND ${q.dialect.anyOf('user_id', 'text')}`,
      [destination, q.dialect.list(userIds)],
    )
    return new Map(rows.map((row) => [row.user_id as UserId, row.stream_id]))
  }

  /**
   * The destination has been told: forgets the changes unless the devices have changed again, keeps the last of each
   * user.
   */
  async markDeviceChangesSent(
    tx: Tx,
    destination: ServerName,
    changes: readonly OutboxDeviceChange[],
  ): Promise<void> {
    if (changes.length === 0) return
    const columns = { user_id: 'text', device_id: 'text', stream_id: 'integer' } as const
    const rows = changes.map(({ userId, deviceId, streamId }) => ({
      user_id: userId,
      device_id: deviceId,
      stream_id: streamId,
    }))
    // Of cross-signing keys is told without a number.
    const devices = rows.filter((row) => row.device_id !== '')
    const last = new Map(devices.map((row) => [row.user_id, row.stream_id]))
    await tx.execute(
      `DELETE FROM device_list_outbox WHERE destination = ? AND (user_id, device_id, stream_id) IN (
         SELECT r.user_id, r.device_id, r.stream_id FROM ${tx.dialect.rowsFrom(columns)} AS r)`,
      [destination, tx.dialect.rows(rows)],
    )
    await tx.insertMany(
      'device_list_sent',
      [...last].map(([userId, streamId]) => ({ destination, user_id: userId, stream_id: streamId })),
      {
        columns: { destination: 'text', user_id: 'text', stream_id: 'integer' },
        conflict: { key: ['destination', 'user_id'], update: ['stream_id'] },
      },
    )
  }

  /** The destination has been told everything of a user's devices up to `streamId`, unless something still waits. */
  async markDeviceListFetched(
    tx: Tx,
    destination: ServerName,
    userId: UserId,
    streamId: number,
  ): Promise<void> {
    await tx.execute(
      `INSERT INTO device_list_sent (destination, user_id, stream_id)
       SELECT r.destination, r.user_id, r.stream_id
       FROM ${tx.dialect.rowsFrom({ destination: 'text', user_id: 'text', stream_id: 'integer' })} AS r
       WHERE NOT EXISTS (SELECT 1 FROM device_list_outbox o
         WHERE o.destination = r.destination AND o.user_id = r.user_id AND o.device_id <> '')
       ON CONFLICT (destination, user_id) DO UPDATE SET stream_id = excluded.stream_id`,
      [tx.dialect.rows([{ destination, user_id: userId, stream_id: streamId }])],
    )
  }

  /**
   * Of destinations that have failed since before a time, keeps the last change of each user's devices alone: it is told
   * without one before it, so that whoever comes back fetches all of them. By primary key prefix.
   */
  async foldDeviceChanges(tx: Tx, failingBeforeTs: number): Promise<void> {
    const isAway = 'destination IN (SELECT server_name FROM destinations WHERE failing_since_ts < ?)'
    const newestOf = (table: string): string =>
      `SELECT MAX(o.stream_id) FROM device_list_outbox o
       WHERE o.destination = ${table}.destination AND o.user_id = ${table}.user_id AND o.device_id <> ''`
    await tx.execute(
      `DELETE FROM device_list_sent WHERE ${isAway} AND EXISTS (
         SELECT 1 FROM device_list_outbox w WHERE w.destination = device_list_sent.destination
           AND w.user_id = device_list_sent.user_id AND w.device_id <> ''
           AND w.stream_id < (${newestOf('device_list_sent')}))`,
      [failingBeforeTs],
    )
    await tx.execute(
      `DELETE FROM device_list_outbox WHERE ${isAway} AND device_id <> ''
         AND stream_id < (${newestOf('device_list_outbox')})`,
      [failingBeforeTs],
    )
  }

  /** Everybody for whom something waits. By primary key prefix. */
  async listDestinations(q: Query): Promise<ServerName[]> {
    const rows = await q.all<{ destination: string }>(
      `SELECT destination FROM federation_outbox UNION SELECT destination FROM device_list_outbox`,
    )
    return rows.map((row) => row.destination as ServerName)
  }
}
