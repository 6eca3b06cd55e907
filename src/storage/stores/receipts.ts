import type { CacheRegistry, RowCache } from '../cache-registry.js'
import type { Query, Tx } from '../database.js'
import { newestPerGroup } from '../newest-per-group.js'
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

/** Up to where somebody has read a room: event positions. */
export interface ReadPositions {
  /** By receipts without a thread, which count for all threads; 0 when there are none. */
  readonly unthreaded: number
  /** By thread ID: `main` or the ID of a thread's root. */
  readonly threads: ReadonlyMap<string, number>
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

const COLUMNS = 't.room_nid, t.user_id, t.receipt_type, t.thread_id, t.event_id, t.event_position, t.ts'
const KEY = ['room_nid', 'user_id', 'receipt_type', 'thread_id'] as const
const NO_THREAD = ''
/** Receipts of one room, or of one user, that are read at most. */
const MAX_READ = 2000
const NOTHING_READ: ReadPositions = { unthreaded: 0, threads: new Map() }

/** Receipts: of each user, type and thread of a room the last one. */
export class ReceiptsStore {
  readonly #reads: RowCache<string, ReadPositions>

  constructor(caches: CacheRegistry) {
    this.#reads = caches.createMutable({ name: 'read_positions', max: 50_000 })
  }

  /** The receipts with these keys. By primary key. */
  async getMany(q: Query, keys: readonly ReceiptKey[]): Promise<ReceiptRecord[]> {
    const source = q.dialect.rowsFrom({
      room_nid: 'integer',
      user_id: 'text',
      receipt_type: 'text',
      thread_id: 'text',
    })
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM ${source} AS r CROSS JOIN receipts t
       WHERE t.room_nid = r.room_nid AND t.user_id = r.user_id AND t.receipt_type = r.receipt_type
         AND t.thread_id = r.thread_id`,
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
    const source = newestPerGroup(q.dialect, {
      groups: q.dialect.rowsFrom({ room_nid: 'integer', position: 'integer', up_to: 'integer' }),
      table: 'receipts',
      match: 't.room_nid = g.room_nid AND t.stream_id <= g.up_to',
      order: 'stream_id',
      limit: MAX_READ,
    })
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM ${source}
       WHERE t.receipt_type <> 'm.read.private' OR t.user_id = ? ORDER BY t.stream_id`,
      [q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid, position: from, up_to: to }))), userId],
    )
    return rows.map(toRecord)
  }

  /** The user's own receipts of rooms, the newest of them up to `to`, oldest first. By primary key prefix. */
  async listOwn(q: Query, userId: UserId, roomNids: readonly number[], to: number): Promise<ReceiptRecord[]> {
    if (roomNids.length === 0) return []
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM ${q.dialect.rowsFrom({ room_nid: 'integer' })} AS r CROSS JOIN receipts t
       WHERE t.room_nid = r.room_nid AND t.user_id = ? AND t.stream_id <= ?
       ORDER BY t.stream_id DESC LIMIT ${MAX_READ}`,
      [q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid }))), userId, to],
    )
    return rows.map(toRecord).reverse()
  }

  /** In which of these rooms receipts of the user's own changed in `(from, to]`. By primary key prefix. */
  async listRoomsWithOwn(
    q: Query,
    userId: UserId,
    roomNids: readonly number[],
    { from, to }: { from: number; to: number },
  ): Promise<Set<number>> {
    if (roomNids.length === 0 || from >= to) return new Set()
    const rows = await q.all<{ room_nid: number }>(
      `SELECT DISTINCT t.room_nid FROM ${q.dialect.rowsFrom({ room_nid: 'integer' })} AS r CROSS JOIN receipts t
       WHERE t.room_nid = r.room_nid AND t.user_id = ? AND t.stream_id > ? AND t.stream_id <= ?`,
      [q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid }))), userId, from, to],
    )
    return new Set(rows.map(({ room_nid: roomNid }) => roomNid))
  }

  /**
   * Up to where the user has read each of these rooms, by whichever type is ahead; every room has an entry. Mostly from
   * memory, and the same object as long as nothing changes. By primary key prefix.
   */
  async getReadPositions(
    q: Query,
    userId: UserId,
    roomNids: readonly number[],
  ): Promise<Map<number, ReadPositions>> {
    const found = await this.getReadPositionsOf(
      q,
      roomNids.map((roomNid) => ({ roomNid, userId })),
    )
    return found.get(userId) ?? new Map<number, ReadPositions>()
  }

  /** The same for several users: by user, then by room. */
  async getReadPositionsOf(
    q: Query,
    members: readonly { readonly roomNid: number; readonly userId: UserId }[],
  ): Promise<Map<UserId, Map<number, ReadPositions>>> {
    const keys = new Map(members.map((member) => [readKey(member.roomNid, member.userId), member]))
    const rows = await this.#reads.getRows(q, [...keys.keys()], (missing) =>
      this.#loadReadPositions(
        q,
        missing.map((key) => keys.get(key)!),
      ),
    )
    const found = new Map<UserId, Map<number, ReadPositions>>()
    for (const [key, { roomNid, userId }] of keys) {
      const own = found.get(userId) ?? new Map<number, ReadPositions>()
      found.set(userId, own.set(roomNid, rows.get(key) ?? NOTHING_READ))
    }
    return found
  }

  async #loadReadPositions(
    q: Query,
    members: readonly { readonly roomNid: number; readonly userId: UserId }[],
  ): Promise<Map<string, ReadPositions>> {
    const rows = await q.all<{ room_nid: number; user_id: string; thread_id: string; position: number }>(
      `SELECT t.room_nid, t.user_id, t.thread_id, MAX(t.event_position) AS position
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer', user_id: 'text' })} AS r CROSS JOIN receipts t
       WHERE t.room_nid = r.room_nid AND t.user_id = r.user_id
         AND t.receipt_type IN ('m.read', 'm.read.private') AND t.event_position IS NOT NULL
       GROUP BY t.room_nid, t.user_id, t.thread_id`,
      [q.dialect.rows(members.map(({ roomNid, userId }) => ({ room_nid: roomNid, user_id: userId })))],
    )
    const found = new Map<string, { unthreaded: number; threads: Map<string, number> }>()
    for (const { room_nid: roomNid, user_id: userId, thread_id: threadId, position } of rows) {
      const key = readKey(roomNid, userId as UserId)
      const reads = found.get(key) ?? { unthreaded: 0, threads: new Map<string, number>() }
      if (threadId === NO_THREAD) reads.unthreaded = position
      else reads.threads.set(threadId, position)
      found.set(key, reads)
    }
    const positions = new Map<string, ReadPositions>(found)
    for (const { roomNid, userId } of members) {
      const key = readKey(roomNid, userId)
      if (!positions.has(key)) positions.set(key, NOTHING_READ)
    }
    return positions
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
    for (const { roomNid, userId } of receipts) this.#reads.invalidate(tx, readKey(roomNid, userId))
  }
}

function readKey(roomNid: number, userId: UserId): string {
  return `${roomNid} ${userId}`
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
