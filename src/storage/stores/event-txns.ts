import type { Query, Tx } from '../database.js'
import type { EventId, UserId } from '../../protocol/ids.js'

/** How long a transaction ID protects against sending twice. */
export const EVENT_TXN_LIFETIME_MS = 24 * 60 * 60 * 1000

/**
 * What stands in the place of the device of events that were sent later: their transactions are the IDs by which they
 * could be cancelled.
 */
export const DELAYED_SENDER = 'delayed event'

/** By what the sender of an event knows it. */
export interface SenderMarks {
  /** The transaction of the device that asks. */
  readonly txnId: string | undefined
  /** Of what was sent later, by whichever device. */
  readonly delayId: string | undefined
}

interface SentTransaction {
  readonly roomNid: number
  readonly txnId: string
  readonly eventId: EventId
}

/** Which event came of which transaction ID of a device. */
export class EventTxnsStore {
  /** What a device has sent since `sinceTs`, newest first, at most `limit`. By primary key prefix. */
  async listForDevice(
    q: Query,
    device: { userId: UserId; deviceId: string },
    options: { sinceTs: number; limit: number },
  ): Promise<SentTransaction[]> {
    const rows = await q.all<{ room_nid: number; txn_id: string; event_id: string }>(
      `SELECT t.room_nid, t.txn_id, e.event_id FROM event_txns t JOIN events e ON e.event_nid = t.event_nid
       WHERE t.user_id = ? AND t.device_id = ? AND t.ts >= ? ORDER BY t.event_nid DESC LIMIT ?`,
      [device.userId, device.deviceId, options.sinceTs, options.limit],
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      txnId: row.txn_id,
      eventId: row.event_id as EventId,
    }))
  }

  /** As above, without the events. */
  async listIdsForDevice(
    q: Query,
    device: { userId: UserId; deviceId: string },
    options: { sinceTs: number; limit: number },
  ): Promise<Pick<SentTransaction, 'roomNid' | 'txnId'>[]> {
    const rows = await q.all<{ room_nid: number; txn_id: string }>(
      'SELECT room_nid, txn_id FROM event_txns WHERE user_id = ? AND device_id = ? AND ts >= ? LIMIT ?',
      [device.userId, device.deviceId, options.sinceTs, options.limit],
    )
    return rows.map((row) => ({ roomNid: row.room_nid, txnId: row.txn_id }))
  }

  /** One transaction. By primary key. */
  async find(
    q: Query,
    device: { userId: UserId; deviceId: string },
    roomNid: number,
    txnId: string,
  ): Promise<EventId | undefined> {
    const row = await q.first<{ event_id: string }>(
      `SELECT e.event_id FROM event_txns t JOIN events e ON e.event_nid = t.event_nid
       WHERE t.user_id = ? AND t.device_id = ? AND t.room_nid = ? AND t.txn_id = ?`,
      [device.userId, device.deviceId, roomNid, txnId],
    )
    return row?.event_id as EventId | undefined
  }

  /** Of events, by nid, what tells their sender that they are theirs. Index event_txns_event. */
  async getMarks(
    q: Query,
    device: { userId: UserId; deviceId: string },
    eventNids: readonly number[],
  ): Promise<Map<number, SenderMarks>> {
    if (eventNids.length === 0) return new Map()
    const rows = await q.all<{ event_nid: number; device_id: string; txn_id: string }>(
      `SELECT event_nid, device_id, txn_id FROM event_txns
       WHERE ${q.dialect.anyOf('event_nid', 'integer')} AND user_id = ? AND device_id IN (?, ?)`,
      [q.dialect.list(eventNids), device.userId, device.deviceId, DELAYED_SENDER],
    )
    return new Map(
      rows.map(({ event_nid: nid, device_id: deviceId, txn_id: id }) => {
        const isDelayed = deviceId === DELAYED_SENDER
        return [nid, { txnId: isDelayed ? undefined : id, delayId: isDelayed ? id : undefined }]
      }),
    )
  }

  async deleteBefore(tx: Tx, ts: number): Promise<number> {
    return tx.execute('DELETE FROM event_txns WHERE ts < ?', [ts])
  }
}
