import type { Query, SqlValue } from '../database.js'
import type { Dialect } from '../dialect.js'
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

/** Whose news are wanted. */
export interface PushNewsOfUser {
  readonly userId: UserId
  /** From where each room is looked at. */
  readonly rooms: readonly RoomFloor[]
  readonly threads: readonly ThreadFloor[]
  /** Their events count for nothing. */
  readonly ignored: readonly UserId[]
  /** Rooms that the user's own rules keep quiet; undefined for users without rules of their own. */
  readonly quiet: ReadonlySet<number> | undefined
}

/** A room that a user has joined. */
export interface JoinedRoom extends RoomFloor {
  readonly userId: UserId
}

/** What has come to one thread of a room. */
export interface PushNews {
  /** `everybody`: a thread's events that notify everybody, together; else one event that counts otherwise. */
  readonly kind: 'everybody' | 'highlight' | 'exception'
  readonly userId: UserId
  readonly roomNid: number
  readonly threadRoot: EventId | undefined
  /** Of the event, or of the last of them. */
  readonly position: number
  /** What it adds to the counts. */
  readonly notifications: number
  readonly highlights: number
  /** The user's own last notifying event there, 0 for none: what comes before it counts as read. */
  readonly ownPosition: number
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
   * When users joined rooms, for those that they are joined to: the position of the first membership after the last that
   * was not `join`. By primary key.
   */
  async listJoinPositions(
    q: Query,
    members: readonly { readonly roomNid: number; readonly userId: UserId }[],
  ): Promise<JoinedRoom[]> {
    if (members.length === 0) return []
    const rows = await q.all<{ user_id: string; room_nid: number; position: number }>(
      `SELECT j.user_id, j.room_nid, MIN(j.stream_ordering) AS position
       FROM ${q.dialect.rowsFrom({ user_id: 'text', room_nid: 'integer' })} AS r CROSS JOIN local_memberships j
       WHERE j.room_nid = r.room_nid AND j.user_id = r.user_id AND j.membership = 'join'
         AND j.stream_ordering > COALESCE((
           SELECT MAX(l.stream_ordering) FROM local_memberships l
           WHERE l.room_nid = r.room_nid AND l.user_id = r.user_id AND l.membership <> 'join'), -1)
       GROUP BY j.user_id, j.room_nid`,
      [q.dialect.rows(members.map(({ roomNid, userId }) => ({ user_id: userId, room_nid: roomNid })))],
    )
    return rows.map((row) => ({
      userId: row.user_id as UserId,
      roomNid: row.room_nid,
      position: row.position,
    }))
  }

  /**
   * What notifies or highlights users after each room's floor, in one statement: events of others that notify
   * everybody, counted by thread after the thread's floor and the user's own last event there; events that highlight the
   * user, by name or with everybody; and those that the user's own rules judge otherwise. Of each kind the newest 1000 of
   * a room. Index events_notifying alone for the first, by primary key for the others. Each user once.
   */
  async listNews(q: Query, users: readonly PushNewsOfUser[]): Promise<PushNews[]> {
    if (users.every(({ rooms }) => rooms.length === 0)) return []
    const parts = [notifying(q.dialect, users), highlights(q.dialect, users)]
    const ruled = users.filter(({ quiet }) => quiet !== undefined)
    if (ruled.length > 0) parts.push(exceptions(q.dialect, ruled))
    const rows = await q.all<NewsRow>(
      parts.map(({ sql }) => sql).join(' UNION ALL '),
      parts.flatMap(({ params }) => params),
    )
    return rows.map((row) => ({
      kind: row.kind,
      userId: row.user_id as UserId,
      roomNid: row.room_nid,
      threadRoot: row.thread_root === MAIN ? undefined : (row.thread_root as EventId),
      position: row.position,
      notifications: row.notifications,
      highlights: row.highlights,
      ownPosition: row.own_position,
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

interface NewsRow {
  kind: PushNews['kind']
  user_id: string
  room_nid: number
  thread_root: string
  position: number
  notifications: number
  highlights: number
  own_position: number
}

/** A SELECT with the columns of `NewsRow`. */
interface NewsQuery {
  readonly sql: string
  readonly params: readonly SqlValue[]
}

function notifying(dialect: Dialect, users: readonly PushNewsOfUser[]): NewsQuery {
  const source = newestPerGroup(dialect, {
    groups: dialect.rowsFrom({ user_id: 'text', room_nid: 'integer', position: 'integer' }),
    table: 'events',
    match: 't.room_nid = g.room_nid AND t.notifies = 1',
    order: 'stream_ordering',
    limit: MAX_COUNTED,
  })
  const threadRows = dialect.rowsFrom({
    user_id: 'text',
    room_nid: 'integer',
    thread_root: 'text',
    position: 'integer',
  })
  return {
    sql: `SELECT 'everybody' AS kind, user_id, room_nid, thread_root, MAX(stream_ordering) AS position,
        SUM(CASE WHEN own = 0 AND stream_ordering > own_position AND stream_ordering > read_position
          THEN 1 ELSE 0 END) AS notifications,
        0 AS highlights, MAX(own_position) AS own_position
      FROM (
        SELECT c.user_id, c.room_nid, c.thread_root, c.stream_ordering, c.own,
          COALESCE(t.position, 0) AS read_position,
          MAX(c.own) OVER (PARTITION BY c.user_id, c.room_nid, c.thread_root) AS own_position
        FROM (
          SELECT g.user_id, t.room_nid, COALESCE(t.thread_root, '${MAIN}') AS thread_root, t.stream_ordering,
            CASE WHEN t.sender = g.user_id THEN t.stream_ordering ELSE 0 END AS own
          FROM ${source} WHERE NOT (${dialect.anyOf(pairOf('t.sender'), 'text')})
        ) AS c LEFT JOIN ${threadRows} AS t
          ON t.user_id = c.user_id AND t.room_nid = c.room_nid AND t.thread_root = c.thread_root
      ) AS unread GROUP BY user_id, room_nid, thread_root`,
    params: [
      dialect.rows(users.flatMap(({ userId, rooms }) => rooms.map((floor) => floorRow(userId, floor)))),
      dialect.list(users.flatMap(ignoredPairs)),
      dialect.rows(users.flatMap(({ userId, threads }) => threads.map((floor) => threadRow(userId, floor)))),
    ],
  }
}

function highlights(dialect: Dialect, users: readonly PushNewsOfUser[]): NewsQuery {
  const source = newestPerGroup(dialect, {
    groups: dialect.rowsFrom({ user_id: 'text', named: 'text', room_nid: 'integer', position: 'integer' }),
    table: 'event_highlights',
    match: 't.user_id = g.named AND t.room_nid = g.room_nid',
    order: 'stream_ordering',
    limit: MAX_COUNTED,
  })
  const wanted = users.flatMap(({ userId, rooms }) =>
    rooms.flatMap((floor) => [userId, EVERYBODY].map((named) => ({ named, ...floorRow(userId, floor) }))),
  )
  return {
    // What notifies everybody is counted already.
    sql: `SELECT 'highlight' AS kind, g.user_id, t.room_nid, COALESCE(e.thread_root, '${MAIN}') AS thread_root,
        t.stream_ordering AS position, 1 - e.notifies AS notifications, 1 AS highlights, 0 AS own_position
      FROM ${source} CROSS JOIN events e
      WHERE e.stream_ordering = t.stream_ordering AND e.sender <> g.user_id AND e.redacted_by IS NULL
        AND e.rejected IS NULL
        AND NOT (${dialect.anyOf(pairOf('e.sender'), 'text')})`,
    params: [dialect.rows(wanted), dialect.list(users.flatMap(ignoredPairs))],
  }
}

function exceptions(dialect: Dialect, users: readonly PushNewsOfUser[]): NewsQuery {
  const source = newestPerGroup(dialect, {
    groups: dialect.rowsFrom({
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
  const wanted = users.flatMap(({ userId, rooms, quiet }) =>
    rooms.map((floor) => ({ ...floorRow(userId, floor), quiet: quiet?.has(floor.roomNid) === true ? 1 : 0 })),
  )
  return {
    sql: `SELECT 'exception' AS kind, g.user_id, t.room_nid, COALESCE(e.thread_root, '${MAIN}') AS thread_root,
        t.stream_ordering AS position, t.notifications, t.highlights, 0 AS own_position
      FROM ${source} CROSS JOIN events e
      WHERE e.stream_ordering = t.stream_ordering AND e.redacted_by IS NULL AND e.rejected IS NULL
        AND NOT (${dialect.anyOf(pairOf('e.sender'), 'text')})`,
    params: [dialect.rows(wanted), dialect.list(users.flatMap(ignoredPairs))],
  }
}

/** Who looks and whose event it is, as one text. */
function pairOf(sender: string): string {
  return `g.user_id || ' ' || ${sender}`
}

function ignoredPairs({ userId, ignored }: PushNewsOfUser): string[] {
  return ignored.map((sender) => `${userId} ${sender}`)
}

function floorRow(userId: UserId, floor: RoomFloor) {
  return { user_id: userId, room_nid: floor.roomNid, position: floor.position }
}

function threadRow(userId: UserId, floor: ThreadFloor) {
  return { ...floorRow(userId, floor), thread_root: floor.threadRoot ?? MAIN }
}
