import type { Query } from '../database.js'
import { newestPerGroup } from '../newest-per-group.js'
import type { EventId, UserId } from '../../protocol/ids.js'

/** From where on a room's events are looked at: after this position, whatever their thread. */
export interface RoomFloor {
  readonly roomNid: number
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
  /** The user's own last notifying event there, 0 for none: what comes before it counts as read. */
  readonly ownPosition: number
  /** The last event that was looked at. */
  readonly newestPosition: number
}

/** What is counted. */
export interface CountInput {
  readonly userId: UserId
  readonly rooms: readonly RoomFloor[]
  readonly threads: readonly ThreadFloor[]
  /** Their events count for nothing. */
  readonly ignored: readonly UserId[]
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
  async countNotifying(q: Query, { userId, rooms, threads, ignored }: CountInput): Promise<NotifyingCount[]> {
    if (rooms.length === 0) return []
    const source = newestPerGroup(q.dialect, {
      groups: q.dialect.rowsFrom({ room_nid: 'integer', position: 'integer' }),
      table: 'events',
      match: 't.room_nid = g.room_nid AND t.notifies = 1',
      order: 'stream_ordering',
      limit: MAX_COUNTED,
    })
    const threadRows = q.dialect.rowsFrom({ room_nid: 'integer', thread_root: 'text', position: 'integer' })
    const rows = await q.all<CountRow>(
      `WITH candidates AS (
         SELECT t.room_nid, COALESCE(t.thread_root, '${MAIN}') AS thread_root, t.stream_ordering,
           CASE WHEN t.sender = ? THEN t.stream_ordering ELSE 0 END AS own
         FROM ${source} WHERE NOT (${q.dialect.anyOf('t.sender', 'text')})
       ), unread AS (
         SELECT c.room_nid, c.thread_root, c.stream_ordering, c.own,
           MAX(c.own) OVER (PARTITION BY c.room_nid, c.thread_root) AS own_position,
           COALESCE(t.position, 0) AS read_position
         FROM candidates c LEFT JOIN ${threadRows} AS t
           ON t.room_nid = c.room_nid AND t.thread_root = c.thread_root
       )
       SELECT room_nid, thread_root, MAX(own_position) AS own_position,
         MAX(stream_ordering) AS newest_position, SUM(CASE WHEN own = 0 AND stream_ordering > own_position AND stream_ordering > read_position
           THEN 1 ELSE 0 END) AS notifications
       FROM unread GROUP BY room_nid, thread_root`,
      [
        userId,
        q.dialect.rows(rooms.map(floorRow)),
        q.dialect.list(ignored),
        q.dialect.rows(threads.map(threadRow)),
      ],
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      threadRoot: row.thread_root === MAIN ? undefined : (row.thread_root as EventId),
      notifications: row.notifications,
      ownPosition: row.own_position,
      newestPosition: row.newest_position,
    }))
  }

  /** The newest 1000 events after each room's floor that highlight the user, by name or with everybody. By primary key. */
  async listHighlights(
    q: Query,
    { userId, rooms, ignored }: Omit<CountInput, 'threads'>,
  ): Promise<HighlightRecord[]> {
    if (rooms.length === 0) return []
    const wanted = rooms.flatMap((floor) =>
      [userId, EVERYBODY].map((named) => ({ user_id: named, ...floorRow(floor) })),
    )
    const source = newestPerGroup(q.dialect, {
      groups: q.dialect.rowsFrom({ user_id: 'text', room_nid: 'integer', position: 'integer' }),
      table: 'event_highlights',
      match: 't.user_id = g.user_id AND t.room_nid = g.room_nid',
      order: 'stream_ordering',
      limit: MAX_COUNTED,
    })
    const rows = await q.all<HighlightRow>(
      `SELECT t.room_nid, t.stream_ordering, e.thread_root, e.notifies FROM ${source} CROSS JOIN events e
       WHERE e.stream_ordering = t.stream_ordering AND e.sender <> ? AND e.redacted_by IS NULL
         AND NOT (${q.dialect.anyOf('e.sender', 'text')})`,
      [q.dialect.rows(wanted), userId, q.dialect.list(ignored)],
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
  newest_position: number
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
