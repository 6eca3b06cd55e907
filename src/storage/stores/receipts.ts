import type { Query, Tx } from '../database.js'
import type { SequenceOptions } from '../streams/sequences.js'
import type { EventId, UserId } from '../../protocol/ids.js'

export type ReceiptType = 'm.read' | 'm.read.private'

/** What there is one receipt of. `threadId` is undefined for receipts that belong to no thread. */
export interface ReceiptKey {
  readonly roomNid: number
  readonly userId: UserId
  readonly type: ReceiptType
  readonly threadId: string | undefined
}

export interface ReceiptRecord extends ReceiptKey {
  readonly eventId: EventId
  /** The event's stream ordering; undefined while this server does not hold the event. */
  readonly eventPosition: number | undefined
  readonly ts: number
}

/** Up to where somebody has read a room, or one thread of it. */
export interface ReadPosition {
  readonly roomNid: number
  readonly threadId: string | undefined
  readonly position: number
}

interface Row {
  room_nid: number
  user_id: string
  receipt_type: string
  thread_id: string
  event_id: string
  event_position: number | null
  ts: number
}

export const RECEIPTS_STREAM: SequenceOptions = {
  sequence: 'receipts_stream_seq',
  table: 'receipts',
  column: 'stream_id',
}

const COLUMNS = 'x.room_nid, x.user_id, x.receipt_type, x.thread_id, x.event_id, x.event_position, x.ts'
const KEY = ['room_nid', 'user_id', 'receipt_type', 'thread_id'] as const
const NO_THREAD = ''
/** Receipts of one room, or of one user, that are read at most. */
const MAX_READ = 2000

/** Receipts: of each user, type and thread of a room the last one. */
export class ReceiptsStore {
  /** The receipts with these keys. By primary key. */
  async getMany(q: Query, keys: readonly ReceiptKey[]): Promise<ReceiptRecord[]> {
    const source = q.dialect.rowsFrom({
      room_nid: 'integer',
      user_id: 'text',
      receipt_type: 'text',
      thread_id: 'text',
    })
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM ${source} AS r CROSS JOIN receipts x
       WHERE x.room_nid = r.room_nid AND x.user_id = r.user_id AND x.receipt_type = r.receipt_type
         AND x.thread_id = r.thread_id`,
      [q.dialect.rows(keys.map(keyRow))],
    )
    return rows.map(toRecord)
  }

  /**
   * Receipts of rooms that changed in `(from, to]`, oldest change first: of each room the last 2000. Private ones only
   * of `userId`. Index receipts_room_stream.
   */
  async listChanges(
    q: Query,
    roomNids: readonly number[],
    { from, to, userId }: { from: number; to: number; userId: UserId },
  ): Promise<ReceiptRecord[]> {
    if (roomNids.length === 0 || from >= to) return []
    // The floors are looked up once per room, not once per receipt.
    const rows = await q.all<Row>(
      `WITH newest AS MATERIALIZED (
         SELECT r.room_nid, COALESCE((
           SELECT y.stream_id FROM receipts y
           WHERE y.room_nid = r.room_nid AND y.stream_id > ? AND y.stream_id <= ?
           ORDER BY y.stream_id DESC LIMIT 1 OFFSET ${MAX_READ}), ?) AS floor
         FROM ${q.dialect.rowsFrom({ room_nid: 'integer' })} AS r
       )
       SELECT ${COLUMNS} FROM newest n CROSS JOIN receipts x
       WHERE x.room_nid = n.room_nid AND x.stream_id > n.floor AND x.stream_id <= ?
         AND (x.receipt_type <> 'm.read.private' OR x.user_id = ?)
       ORDER BY x.stream_id`,
      [from, to, from, q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid }))), to, userId],
    )
    return rows.map(toRecord)
  }

  /** The user's own receipts of rooms, the newest of them up to `to`, oldest first. By primary key prefix. */
  async listOwn(q: Query, userId: UserId, roomNids: readonly number[], to: number): Promise<ReceiptRecord[]> {
    if (roomNids.length === 0) return []
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM ${q.dialect.rowsFrom({ room_nid: 'integer' })} AS r CROSS JOIN receipts x
       WHERE x.room_nid = r.room_nid AND x.user_id = ? AND x.stream_id <= ?
       ORDER BY x.stream_id DESC LIMIT ${MAX_READ}`,
      [q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid }))), userId, to],
    )
    return rows.map(toRecord).reverse()
  }

  /** Up to where the user has read each room and thread, by whichever type is ahead. By primary key prefix. */
  async listReadPositions(q: Query, userId: UserId, roomNids: readonly number[]): Promise<ReadPosition[]> {
    const rows = await q.all<{ room_nid: number; thread_id: string; position: number }>(
      `SELECT x.room_nid, x.thread_id, MAX(x.event_position) AS position
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer' })} AS r CROSS JOIN receipts x
       WHERE x.room_nid = r.room_nid AND x.user_id = ? AND x.receipt_type IN ('m.read', 'm.read.private')
         AND x.event_position IS NOT NULL
       GROUP BY x.room_nid, x.thread_id`,
      [q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid }))), userId],
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      threadId: row.thread_id === NO_THREAD ? undefined : row.thread_id,
      position: row.position,
    }))
  }

  /** `streamId`: the position of the change, different for each. */
  async upsert(tx: Tx, receipts: readonly (ReceiptRecord & { readonly streamId: number })[]): Promise<void> {
    await tx.insertMany(
      'receipts',
      receipts.map((receipt) => ({
        ...keyRow(receipt),
        event_id: receipt.eventId,
        event_position: receipt.eventPosition ?? null,
        ts: receipt.ts,
        stream_id: receipt.streamId,
      })),
      {
        columns: {
          room_nid: 'integer',
          user_id: 'text',
          receipt_type: 'text',
          thread_id: 'text',
          event_id: 'text',
          event_position: 'integer',
          ts: 'integer',
          stream_id: 'integer',
        },
        conflict: { key: KEY, update: ['event_id', 'event_position', 'ts', 'stream_id'] },
      },
    )
  }
}

function keyRow({ roomNid, userId, type, threadId }: ReceiptKey) {
  return { room_nid: roomNid, user_id: userId, receipt_type: type, thread_id: threadId ?? NO_THREAD }
}

function toRecord(row: Row): ReceiptRecord {
  return {
    roomNid: row.room_nid,
    userId: row.user_id as UserId,
    type: row.receipt_type as ReceiptType,
    threadId: row.thread_id === NO_THREAD ? undefined : row.thread_id,
    eventId: row.event_id as EventId,
    eventPosition: row.event_position ?? undefined,
    ts: row.ts,
  }
}
