import type { Query } from '../database.js'
import type { RoomId, ServerName, UserId } from '../../protocol/ids.js'
import { pushTo } from '../../util/group-by.js'

/** How many users of a server are in a room. */
export interface ServerCount {
  readonly roomNid: number
  readonly server: ServerName
  readonly members: number
}

/** An event of the stream, as far as it matters for who is to be told. */
export interface StreamedEvent {
  readonly eventNid: number
  readonly roomNid: number
  readonly streamOrdering: number
  readonly sender: UserId
  readonly type: string
  readonly stateKey: string | undefined
}

/** Which servers are in rooms, and what they have to be told. */
export class RoomServersStore {
  /** The servers of those who are joined to these rooms. Index room_members_membership. */
  async listCounts(q: Query, roomNids: readonly number[]): Promise<ServerCount[]> {
    if (roomNids.length === 0) return []
    const colon = q.dialect.name === 'sqlite' ? `instr(m.user_id, ':')` : `strpos(m.user_id, ':')`
    const rows = await q.all<{ room_nid: number; server: string; members: number }>(
      `SELECT m.room_nid, substr(m.user_id, ${colon} + 1) AS server, COUNT(*) AS members FROM room_members m
       WHERE ${q.dialect.anyOf('m.room_nid', 'integer')} AND m.membership = 'join' GROUP BY 1, 2`,
      [q.dialect.list(roomNids)],
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      server: row.server as ServerName,
      members: row.members,
    }))
  }

  /** Events of a stretch of the stream that were accepted, the oldest first. Index events_stream. */
  async listEvents(
    q: Query,
    range: { readonly after: number; readonly upTo: number },
    limit: number,
  ): Promise<StreamedEvent[]> {
    const rows = await q.all<{
      event_nid: number
      room_nid: number
      stream_ordering: number
      sender: string
      type: string
      state_key: string | null
    }>(
      `SELECT event_nid, room_nid, stream_ordering, sender, type, state_key FROM events
       WHERE stream_ordering > ? AND stream_ordering <= ? AND rejected IS NULL AND soft_failed = 0
       ORDER BY stream_ordering LIMIT ?`,
      [range.after, range.upTo, limit],
    )
    return rows.map((row) => ({
      eventNid: row.event_nid,
      roomNid: row.room_nid,
      streamOrdering: row.stream_ordering,
      sender: row.sender as UserId,
      type: row.type,
      stateKey: row.state_key ?? undefined,
    }))
  }

  /** The rooms that each of these users is joined to, but for `without`. Index room_members_user. */
  async listJoinedRooms(
    q: Query,
    userIds: readonly UserId[],
    without: ReadonlySet<RoomId> = new Set(),
  ): Promise<Map<UserId, number[]>> {
    if (userIds.length === 0) return new Map()
    const others =
      without.size === 0
        ? ''
        : ` AND m.room_nid NOT IN (SELECT r.room_nid FROM rooms r WHERE ${q.dialect.anyOf('r.room_id', 'text')})`
    const rows = await q.all<{ user_id: string; room_nid: number }>(
      `SELECT m.user_id, m.room_nid FROM room_members m
       WHERE ${q.dialect.anyOf('m.user_id', 'text')} AND m.membership = 'join'${others}`,
      [q.dialect.list(userIds), ...(without.size === 0 ? [] : [q.dialect.list([...without])])],
    )
    const rooms = new Map<UserId, number[]>()
    for (const row of rows) pushTo(rooms, row.user_id as UserId, row.room_nid)
    return rooms
  }

  /** Public receipts of this server's users that changed in a stretch, in order. Index receipts_stream. */
  async listLocalReceipts(
    q: Query,
    range: { readonly after: number; readonly upTo: number },
    localPattern: string,
  ): Promise<LocalReceipt[]> {
    const rows = await q.all<ReceiptRow>(
      `SELECT ${RECEIPT_COLUMNS}
       FROM receipts t JOIN rooms r ON r.room_nid = t.room_nid
       WHERE t.stream_id > ? AND t.stream_id <= ? AND t.receipt_type = 'm.read' AND t.user_id LIKE ? ESCAPE '!'
       ORDER BY t.stream_id`,
      [range.after, range.upTo, localPattern],
    )
    return rows.map(toReceipt)
  }

  /**
   * Of a stretch, in order, those of the public receipts of this server's users that are of rooms in which a server is
   * now. Gives how far it has looked: `limit` receipts at most. Indexes receipts_stream, room_members_server.
   */
  async listLocalReceiptsFor(
    q: Query,
    server: ServerName,
    range: {
      readonly after: number
      readonly upTo: number
      readonly limit: number
      readonly localPattern: string
    },
  ): Promise<{ receipts: LocalReceipt[]; upTo: number }> {
    const find = q.dialect.name === 'sqlite' ? 'instr' : 'strpos'
    const rows = await q.all<ReceiptRow & { is_there: number }>(
      `SELECT ${RECEIPT_COLUMNS}, CASE WHEN EXISTS (
         SELECT 1 FROM room_members m WHERE m.room_nid = t.room_nid AND m.membership = 'join'
           AND substr(m.user_id, ${find}(m.user_id, ':') + 1) = ?) THEN 1 ELSE 0 END AS is_there
       FROM receipts t JOIN rooms r ON r.room_nid = t.room_nid
       WHERE t.stream_id > ? AND t.stream_id <= ? AND t.receipt_type = 'm.read' AND t.user_id LIKE ? ESCAPE '!'
       ORDER BY t.stream_id LIMIT ?`,
      [server, range.after, range.upTo, range.localPattern, range.limit],
    )
    return {
      receipts: rows.filter((row) => row.is_there === 1).map(toReceipt),
      upTo: rows.length < range.limit ? range.upTo : rows.at(-1)!.stream_id,
    }
  }

  /** Changes of this server's users' devices in a stretch, in order. Index device_list_changes_stream. */
  async listLocalDeviceChanges(
    q: Query,
    range: { readonly after: number; readonly upTo: number },
    localPattern: string,
  ): Promise<{ userId: UserId; deviceId: string; streamId: number }[]> {
    const rows = await q.all<{ user_id: string; device_id: string; stream_id: number }>(
      `SELECT user_id, device_id, stream_id FROM device_list_changes
       WHERE stream_id > ? AND stream_id <= ? AND user_id LIKE ? ESCAPE '!' ORDER BY stream_id`,
      [range.after, range.upTo, localPattern],
    )
    return rows.map((row) => ({
      userId: row.user_id as UserId,
      deviceId: row.device_id,
      streamId: row.stream_id,
    }))
  }
}

interface ReceiptRow {
  room_nid: number
  room_id: string
  user_id: string
  thread_id: string
  event_id: string
  ts: number
  stream_id: number
}

const RECEIPT_COLUMNS = 't.room_nid, r.room_id, t.user_id, t.thread_id, t.event_id, t.ts, t.stream_id'

function toReceipt(row: ReceiptRow): LocalReceipt {
  return {
    roomNid: row.room_nid,
    roomId: row.room_id as RoomId,
    userId: row.user_id as UserId,
    threadId: row.thread_id === '' ? undefined : row.thread_id,
    eventId: row.event_id,
    ts: row.ts,
    streamId: row.stream_id,
  }
}

/** A receipt of one of this server's users. */
export interface LocalReceipt {
  readonly roomNid: number
  readonly roomId: RoomId
  readonly userId: UserId
  readonly threadId: string | undefined
  readonly eventId: string
  readonly ts: number
  /** The position of the change. */
  readonly streamId: number
}

/** What `LIKE ... ESCAPE '!'` finds the users of a server by. */
export function usersOfPattern(server: ServerName): string {
  return `%:${server.replace(/[!%_]/g, '!$&')}`
}
