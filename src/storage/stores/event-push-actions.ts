import type { Query } from '../database.js'
import type { EventId, UserId } from '../../protocol/ids.js'

/** From where on a room's events may be unread. */
export interface RoomFloor {
  readonly roomNid: number
  /** Events up to this position count as read, whatever their thread. */
  readonly position: number
}

/** Up to where one thread of a room has been read; `threadRoot` is undefined for the main timeline. */
export interface ThreadFloor extends RoomFloor {
  readonly threadRoot: EventId | undefined
}

/** How many events of one thread notify somebody. */
export interface NotifyingCount {
  readonly roomNid: number
  readonly threadRoot: EventId | undefined
  readonly notifications: number
  /** The user's own last notifying event there: what comes before it counts as read. */
  readonly ownPosition: number
}

/** An event that highlights a user. */
export interface HighlightRecord {
  readonly roomNid: number
  readonly threadRoot: EventId | undefined
  readonly position: number
  /** It notifies everybody, not only the highlighted. */
  readonly notifies: boolean
}

/** Stands for everybody but the sender in `event_highlights`. */
const EVERYBODY = '*'
const MAIN = ''
/** Per room, the newest notifying events that are counted, and the newest highlights. */
const MAX_COUNTED = 1000

/** What notifies whom: `events.notifies` and `event_highlights`. */
export class EventPushActionsStore {
  /**
   * When the user joined each of these rooms that they are joined to: the position of the first membership after the
   * last that was not `join`. Index local_memberships_room.
   */
  async listJoinPositions(q: Query, userId: UserId, roomNids: readonly number[]): Promise<RoomFloor[]> {
    const rows = await q.all<{ room_nid: number; position: number }>(
      `SELECT j.room_nid, MIN(j.stream_ordering) AS position
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer' })} AS r CROSS JOIN local_memberships j
       WHERE j.room_nid = r.room_nid AND j.user_id = ? AND j.membership = 'join' AND j.stream_ordering > COALESCE((
         SELECT MAX(l.stream_ordering) FROM local_memberships l
         WHERE l.room_nid = r.room_nid AND l.user_id = ? AND l.membership <> 'join'), -1)
       GROUP BY j.room_nid`,
      [q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid }))), userId, userId],
    )
    return rows.map((row) => ({ roomNid: row.room_nid, position: row.position }))
  }

  /**
   * The notifying events of others by thread, after the room's floor, the thread's, and the user's own last event in
   * that thread; of each room at most the newest 1000 events are looked at. Index events_notifying alone.
   */
  async countNotifying(
    q: Query,
    userId: UserId,
    floors: { readonly rooms: readonly RoomFloor[]; readonly threads: readonly ThreadFloor[] },
  ): Promise<NotifyingCount[]> {
    if (floors.rooms.length === 0) return []
    const rooms = q.dialect.rowsFrom({ room_nid: 'integer', position: 'integer' })
    const threads = q.dialect.rowsFrom({ room_nid: 'integer', thread_root: 'text', position: 'integer' })
    const rows = await q.all<CountRow>(
      `WITH newest AS MATERIALIZED (
         SELECT f.room_nid, COALESCE((
           SELECT l.stream_ordering FROM events l
           WHERE l.room_nid = f.room_nid AND l.notifies = 1 AND l.stream_ordering > f.position
           ORDER BY l.stream_ordering DESC LIMIT 1 OFFSET ${MAX_COUNTED}), f.position) AS floor
         FROM ${rooms} AS f
       ), candidates AS (
         SELECT e.room_nid, COALESCE(e.thread_root, '${MAIN}') AS thread_root, e.stream_ordering,
           CASE WHEN e.sender = ? THEN e.stream_ordering ELSE 0 END AS own
         FROM newest n CROSS JOIN events e
         WHERE e.room_nid = n.room_nid AND e.notifies = 1 AND e.stream_ordering > n.floor
       ), unread AS (
         SELECT c.room_nid, c.thread_root, c.stream_ordering, c.own,
           MAX(c.own) OVER (PARTITION BY c.room_nid, c.thread_root) AS own_position,
           COALESCE(t.position, 0) AS read_position
         FROM candidates c LEFT JOIN ${threads} AS t
           ON t.room_nid = c.room_nid AND t.thread_root = c.thread_root
       )
       SELECT room_nid, thread_root, MAX(own_position) AS own_position,
         SUM(CASE WHEN own = 0 AND stream_ordering > own_position AND stream_ordering > read_position
           THEN 1 ELSE 0 END) AS notifications
       FROM unread GROUP BY room_nid, thread_root`,
      [q.dialect.rows(floors.rooms.map(floorRow)), userId, q.dialect.rows(floors.threads.map(threadRow))],
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      threadRoot: row.thread_root === MAIN ? undefined : (row.thread_root as EventId),
      notifications: row.notifications,
      ownPosition: row.own_position,
    }))
  }

  /** The newest 1000 events after each room's floor that highlight the user, by name or with everybody. By primary key. */
  async listHighlights(q: Query, userId: UserId, rooms: readonly RoomFloor[]): Promise<HighlightRecord[]> {
    if (rooms.length === 0) return []
    const wanted = rooms.flatMap((floor) =>
      [userId, EVERYBODY].map((named) => ({ user_id: named, ...floorRow(floor) })),
    )
    const rows = await q.all<HighlightRow>(
      `WITH newest AS MATERIALIZED (
         SELECT f.user_id, f.room_nid, COALESCE((
           SELECT l.stream_ordering FROM event_highlights l
           WHERE l.user_id = f.user_id AND l.room_nid = f.room_nid AND l.stream_ordering > f.position
           ORDER BY l.stream_ordering DESC LIMIT 1 OFFSET ${MAX_COUNTED}), f.position) AS floor
         FROM ${q.dialect.rowsFrom({ user_id: 'text', room_nid: 'integer', position: 'integer' })} AS f
       )
       SELECT h.room_nid, h.stream_ordering, e.thread_root, e.notifies
       FROM newest n CROSS JOIN event_highlights h CROSS JOIN events e
       WHERE h.user_id = n.user_id AND h.room_nid = n.room_nid AND h.stream_ordering > n.floor
         AND e.stream_ordering = h.stream_ordering AND e.sender <> ? AND e.redacted_by IS NULL`,
      [q.dialect.rows(wanted), userId],
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      threadRoot: (row.thread_root as EventId | null) ?? undefined,
      position: row.stream_ordering,
      notifies: row.notifies === 1,
    }))
  }
}

interface CountRow {
  room_nid: number
  thread_root: string
  own_position: number
  notifications: number
}

interface HighlightRow {
  room_nid: number
  stream_ordering: number
  thread_root: string | null
  notifies: number
}

function floorRow(floor: RoomFloor) {
  return { room_nid: floor.roomNid, position: floor.position }
}

function threadRow(floor: ThreadFloor) {
  return { ...floorRow(floor), thread_root: floor.threadRoot ?? MAIN }
}
