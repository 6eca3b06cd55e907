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

/** What an event adds to somebody's counts beside notifying everybody. */
export interface CountAdjustment {
  readonly roomNid: number
  readonly threadRoot: EventId | undefined
  readonly position: number
  readonly notifications: number
  readonly highlights: number
}

/** A local member of a room who has changed their push rules. */
export interface MemberWithRules {
  readonly userId: UserId
  readonly displayName: string | undefined
}

/** Stands for everybody but the sender in `event_highlights`. */
const EVERYBODY = '*'
const MAIN = ''
/** Per room, the newest notifying events that are counted; the newest highlights; the newest exceptions. */
const MAX_COUNTED = 1000

/** What notifies whom: `events.notifies`, `event_highlights` and `event_push_exceptions`. */
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
  ): Promise<CountAdjustment[]> {
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
      // What notifies everybody is counted already.
      notifications: row.notifies === 1 ? 0 : 1,
      highlights: 1,
    }))
  }

  /**
   * The newest 1000 events after each room's floor that the user's own rules judge otherwise, as seen from a room that
   * is or is not quiet for the user. By primary key.
   */
  async listExceptions(
    q: Query,
    { userId, rooms, ignored }: Omit<CountInput, 'threads'>,
    quiet: ReadonlySet<number>,
  ): Promise<CountAdjustment[]> {
    if (rooms.length === 0) return []
    const source = newestPerGroup(q.dialect, {
      groups: q.dialect.rowsFrom({
        user_id: 'text',
        room_nid: 'integer',
        position: 'integer',
        quiet: 'integer',
      }),
      table: 'event_push_exceptions',
      match: 't.user_id = g.user_id AND t.room_nid = g.room_nid AND t.quiet = g.quiet',
      order: 'stream_ordering',
      limit: MAX_COUNTED,
    })
    const wanted = rooms.map((floor) => ({
      user_id: userId,
      ...floorRow(floor),
      quiet: quiet.has(floor.roomNid) ? 1 : 0,
    }))
    const rows = await q.all<ExceptionRow>(
      `SELECT t.room_nid, t.stream_ordering, t.notifications, t.highlights, e.thread_root
       FROM ${source} CROSS JOIN events e
       WHERE e.stream_ordering = t.stream_ordering AND e.redacted_by IS NULL
         AND NOT (${q.dialect.anyOf('e.sender', 'text')})`,
      [q.dialect.rows(wanted), q.dialect.list(ignored)],
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      threadRoot: (row.thread_root as EventId | null) ?? undefined,
      position: row.stream_ordering,
      notifications: row.notifications,
      highlights: row.highlights,
    }))
  }

  /** Members of a room, of this server, who have changed their push rules. Index room_members_membership. */
  async listMembersWithRules(q: Query, roomNid: number): Promise<MemberWithRules[]> {
    const rows = await q.all<{ user_id: string; display_name: string | null }>(
      `SELECT m.user_id, m.display_name FROM room_members m JOIN push_rules p ON p.user_id = m.user_id
       WHERE m.room_nid = ? AND m.membership = 'join' AND m.is_local = 1`,
      [roomNid],
    )
    return rows.map((row) => ({
      userId: row.user_id as UserId,
      displayName: row.display_name ?? undefined,
    }))
  }

  /** How many have joined a room. By primary key. */
  async countMembers(q: Query, roomNid: number): Promise<number> {
    const row = await q.first<{ joined_members: number }>(
      'SELECT joined_members FROM rooms WHERE room_nid = ?',
      [roomNid],
    )
    return row?.joined_members ?? 0
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

interface ExceptionRow {
  room_nid: number
  stream_ordering: number
  notifications: number
  highlights: number
  thread_root: string | null
}

function floorRow(floor: RoomFloor) {
  return { room_nid: floor.roomNid, position: floor.position }
}

function threadRow(floor: ThreadFloor) {
  return { ...floorRow(floor), thread_root: floor.threadRoot ?? MAIN }
}
