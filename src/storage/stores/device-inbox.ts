import type { CacheRegistry, RowCache } from '../cache-registry.js'
import type { Query, Tx } from '../database.js'
import type { SequenceOptions } from '../streams/sequences.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

export interface InboxAddress {
  readonly userId: UserId
  readonly deviceId: DeviceId
}

/** A message that waits for a device. */
export interface InboxMessage extends InboxAddress {
  readonly streamId: number
  readonly sender: UserId
  readonly type: string
  readonly content: JsonObject
}

interface Row {
  stream_id: number
  sender: string
  type: string
  content: string
}

export const TO_DEVICE_STREAM: SequenceOptions = {
  sequence: 'to_device_stream_seq',
  table: 'device_inbox',
  column: 'stream_id',
  // Messages to devices of other servers take their turn, too.
  alsoIn: [{ table: 'federation_outbox', column: 'edu_id' }],
}

/** Messages from device to device, until they are delivered. */
export class DeviceInboxStore {
  /** Of each device the position of its newest message, 0 when none waits. */
  readonly #newest: RowCache<string, number>

  constructor(caches: CacheRegistry) {
    this.#newest = caches.createMutable({ name: 'device_inbox_newest', max: 50_000 })
  }

  /** The position of the newest message that waits for a device, 0 for none. Mostly without a query. */
  async getNewest(q: Query, address: InboxAddress): Promise<number> {
    const newest = await this.#newest.getRow(q, keyOf(address), async () => {
      const row = await q.first<{ newest: number | null }>(
        'SELECT MAX(stream_id) AS newest FROM device_inbox WHERE user_id = ? AND device_id = ?',
        [address.userId, address.deviceId],
      )
      return row?.newest ?? 0
    })
    return newest ?? 0
  }

  /** The oldest messages of a device after one position and at or below another, in order. By primary key. */
  async list(
    q: Query,
    address: InboxAddress,
    { after = 0, upTo, limit }: { after?: number; upTo: number; limit: number },
  ): Promise<InboxMessage[]> {
    const rows = await q.all<Row>(
      `SELECT stream_id, sender, type, content FROM device_inbox
       WHERE user_id = ? AND device_id = ? AND stream_id > ? AND stream_id <= ? ORDER BY stream_id LIMIT ?`,
      [address.userId, address.deviceId, after, upTo, limit],
    )
    return rows.map((row) => ({
      userId: address.userId,
      deviceId: address.deviceId,
      streamId: row.stream_id,
      sender: row.sender as UserId,
      type: row.type,
      content: parseContent(row.content),
    }))
  }

  async insert(tx: Tx, messages: readonly InboxMessage[]): Promise<void> {
    await tx.insertMany(
      'device_inbox',
      messages.map((message) => ({
        user_id: message.userId,
        device_id: message.deviceId,
        stream_id: message.streamId,
        sender: message.sender,
        type: message.type,
        content: JSON.stringify(message.content),
      })),
      {
        columns: {
          user_id: 'text',
          device_id: 'text',
          stream_id: 'integer',
          sender: 'text',
          type: 'text',
          content: 'text',
        },
      },
    )
    for (const message of messages) this.#newest.invalidate(tx, keyOf(message))
  }

  /** Deletes what a device has received: everything at or below a position. */
  async deleteUpTo(tx: Tx, address: InboxAddress, position: number): Promise<void> {
    await tx.execute('DELETE FROM device_inbox WHERE user_id = ? AND device_id = ? AND stream_id <= ?', [
      address.userId,
      address.deviceId,
      position,
    ])
    this.#newest.invalidate(tx, keyOf(address))
  }

  /**
   * Deletes the oldest messages of devices for which more than `keep` wait; gives how many. Looks through the whole
   * primary key: for once in a while.
   */
  async deleteExcess(tx: Tx, keep: number): Promise<number> {
    const crowded = await tx.all<{ user_id: string; device_id: string }>(
      'SELECT user_id, device_id FROM device_inbox GROUP BY user_id, device_id HAVING COUNT(*) > ?',
      [keep],
    )
    if (crowded.length === 0) return 0
    const source = tx.dialect.rowsFrom({ user_id: 'text', device_id: 'text' })
    for (const row of crowded) {
      const address = { userId: row.user_id as UserId, deviceId: row.device_id as DeviceId }
      this.#newest.invalidate(tx, keyOf(address))
    }
    return tx.execute(
      `DELETE FROM device_inbox WHERE (user_id, device_id, stream_id) IN (
         SELECT x.user_id, x.device_id, x.stream_id FROM (
           SELECT i.user_id, i.device_id, i.stream_id,
             ROW_NUMBER() OVER (PARTITION BY i.user_id, i.device_id ORDER BY i.stream_id DESC) AS place
           FROM ${source} AS r JOIN device_inbox i ON i.user_id = r.user_id AND i.device_id = r.device_id) AS x
         WHERE x.place > ?)`,
      [tx.dialect.rows(crowded), keep],
    )
  }

  /** Deletes everything that waits for these devices. */
  async deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    await tx.execute(
      `DELETE FROM device_inbox WHERE user_id = ? AND ${tx.dialect.anyOf('device_id', 'text')}`,
      [userId, tx.dialect.list(deviceIds)],
    )
    for (const deviceId of deviceIds) this.#newest.invalidate(tx, keyOf({ userId, deviceId }))
  }
}

function keyOf({ userId, deviceId }: InboxAddress): string {
  return `${userId}\u0000${deviceId}`
}

function parseContent(json: string): JsonObject {
  const content: unknown = JSON.parse(json)
  return isJsonObject(content) ? content : {}
}
