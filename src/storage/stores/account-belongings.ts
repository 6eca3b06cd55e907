import type { RoomId, UserId } from '../../protocol/ids.js'
import type { Query } from '../database.js'
import { EVENT_COLUMNS, type EventRow, type EventsStore, type StoredEvent } from './events.js'

/** A room that somebody has or had to do with. */
export interface RoomOfAccount {
  readonly roomNid: number
  readonly roomId: RoomId
  readonly membership: string
  readonly forgotten: boolean
  /** Of the membership; 0 where there is none. */
  readonly eventNid: number
}

/** How far somebody has read. */
export interface OwnReceipt {
  readonly roomId: RoomId
  readonly type: string
  readonly threadId: string | undefined
  readonly eventId: string
  readonly ts: number
}

/** A membership that somebody has had. */
export interface OwnMembership {
  readonly roomId: RoomId
  readonly membership: string
  readonly eventId: string | undefined
  readonly ts: number | undefined
}

/** A report that somebody has made. */
export interface OwnReport {
  readonly kind: 'event' | 'room' | 'user'
  readonly subject: string
  readonly roomId: string | undefined
  readonly reason: string | undefined
  readonly ts: number
}

/** What there is of a person, to be handed to them. */
export class AccountBelongingsStore {
  readonly #events: EventsStore

  constructor(events: EventsStore) {
    this.#events = events
  }

  /** Index room_members_user. */
  async listRooms(q: Query, userId: UserId): Promise<RoomOfAccount[]> {
    const rows = await q.all<{
      room_nid: number
      room_id: string
      membership: string
      forgotten: number
      event_nid: number
    }>(
      `SELECT m.room_nid, r.room_id, m.membership, m.forgotten, m.event_nid
       FROM room_members m JOIN rooms r ON r.room_nid = m.room_nid WHERE m.user_id = ? ORDER BY r.room_id`,
      [userId],
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      roomId: row.room_id as RoomId,
      membership: row.membership,
      forgotten: row.forgotten === 1,
      eventNid: row.event_nid,
    }))
  }

  /** The room's timeline after a position, history included. Index events_room_stream. */
  async listEvents(
    q: Query,
    roomNid: number,
    page: { readonly after: number; readonly limit: number },
  ): Promise<StoredEvent[]> {
    const rows = await q.all<EventRow>(
      `SELECT ${EVENT_COLUMNS} FROM events e WHERE e.room_nid = ? AND e.stream_ordering > ?
       ORDER BY e.stream_ordering LIMIT ?`,
      [roomNid, page.after, page.limit],
    )
    return [...(await this.#events.fromRows(q, rows)).values()]
  }

  /** By primary key prefix of local_memberships. */
  async listMemberships(q: Query, userId: UserId): Promise<OwnMembership[]> {
    const rows = await q.all<{
      room_id: string
      membership: string
      event_id: string | null
      ts: number | null
    }>(
      `SELECT r.room_id, l.membership, e.event_id, e.origin_server_ts AS ts
       FROM local_memberships l JOIN rooms r ON r.room_nid = l.room_nid
       LEFT JOIN events e ON e.event_nid = l.event_nid
       WHERE l.user_id = ? ORDER BY l.stream_ordering, r.room_id`,
      [userId],
    )
    return rows.map((row) => ({
      roomId: row.room_id as RoomId,
      membership: row.membership,
      eventId: row.event_id ?? undefined,
      ts: row.ts ?? undefined,
    }))
  }

  /** Of the rooms that they have to do with. By primary keys. */
  async listReceipts(q: Query, userId: UserId): Promise<OwnReceipt[]> {
    const rows = await q.all<{
      room_id: string
      type: string
      thread_id: string
      event_id: string
      ts: number
    }>(
      `SELECT r.room_id, c.receipt_type AS type, c.thread_id, c.event_id, c.ts
       FROM room_members m JOIN rooms r ON r.room_nid = m.room_nid
       JOIN receipts c ON c.room_nid = m.room_nid AND c.user_id = m.user_id WHERE m.user_id = ?
       ORDER BY r.room_id, c.receipt_type, c.thread_id`,
      [userId],
    )
    return rows.map((row) => ({
      roomId: row.room_id as RoomId,
      type: row.type,
      threadId: row.thread_id === '' ? undefined : row.thread_id,
      eventId: row.event_id,
      ts: row.ts,
    }))
  }

  /** Reads all reports. */
  async listReports(q: Query, userId: UserId): Promise<OwnReport[]> {
    const rows = await q.all<{
      kind: OwnReport['kind']
      subject: string
      room_id: string | null
      reason: string | null
      ts: number
    }>(
      `SELECT 'event' AS kind, event_id AS subject, room_id, reason, received_ts AS ts
       FROM event_reports WHERE reporter = ?
       UNION ALL SELECT 'room', room_id, NULL, reason, received_ts FROM room_reports WHERE reporter = ?
       UNION ALL SELECT 'user', user_id, NULL, reason, received_ts FROM user_reports WHERE reporter = ?
       ORDER BY 5`,
      [userId, userId, userId],
    )
    return rows.map((row) => ({
      kind: row.kind,
      subject: row.subject,
      roomId: row.room_id ?? undefined,
      reason: row.reason ?? undefined,
      ts: row.ts,
    }))
  }
}
