import type { Query, SqlValue } from '../database.js'
import { newestPerGroup } from '../newest-per-group.js'
import type { UserId } from '../../protocol/ids.js'

/** A room and from where on its events are looked at: after this position. */
export interface NotifiedRoom {
  readonly roomNid: number
  readonly position: number
  /** The user's rules keep what notifies everybody quiet here. */
  readonly isQuiet: boolean
}

/** An event that notified a user when it came. */
export interface NotifiedEvent {
  readonly eventNid: number
  readonly position: number
  readonly isHighlight: boolean
}

/** Whose events are wanted, and of which rooms. */
export interface NotifiedUser {
  readonly userId: UserId
  readonly rooms: readonly NotifiedRoom[]
  /** At or below this. */
  readonly upTo: number
}

export interface NotifiedQuery {
  readonly users: readonly NotifiedUser[]
  readonly onlyHighlights: boolean
  /** Of each room, and of each user. */
  readonly limit: number
}

/** A member of a room. */
export interface RoomMemberKey<U extends string = UserId> {
  readonly roomNid: number
  readonly userId: U
}

/** Stands for everybody but the sender in `event_highlights`. */
export const EVERYBODY = '*'
/** Members that one statement looks up at most. */
const MAX_MEMBERS = 10_000

interface Row {
  asked: number
  event_nid: number
  stream_ordering: number
  highlight: number
}

/** Which events notified whom: made of `events.notifies`, `event_highlights` and `event_push_exceptions`. */
export class NotificationsStore {
  /**
   * What notified each of the users, in their order, the newest first. Index events_notifying for what notifies
   * everybody, else by primary key; as many look-ups as there are rooms of users.
   */
  async list(q: Query, { users, onlyHighlights, limit }: NotifiedQuery): Promise<NotifiedEvent[][]> {
    const notified = users.map((): NotifiedEvent[] => [])
    const rooms = users.flatMap(({ userId, upTo, rooms: own }, asked) =>
      own.map((room) => ({ ...room, userId, upTo, asked })),
    )
    if (rooms.length === 0) return notified
    const loud = rooms.filter(({ isQuiet }) => !isQuiet)
    const parts = [
      ...(onlyHighlights ? [] : [everybody(q, loud, limit)]),
      highlights(q, loud, limit),
      exceptions(q, rooms, { limit, onlyHighlights }),
    ]
    const rows = await q.all<Row>(
      `SELECT asked, event_nid, stream_ordering, highlight FROM (
         SELECT asked, event_nid, stream_ordering, MAX(highlight) AS highlight,
           ROW_NUMBER() OVER (PARTITION BY asked ORDER BY stream_ordering DESC) AS place
         FROM (${parts.map(({ sql }) => sql).join(' UNION ALL ')}) AS n
         GROUP BY asked, event_nid, stream_ordering HAVING MIN(counts) > 0
       ) AS placed WHERE place <= ? ORDER BY asked, place`,
      [...parts.flatMap(({ params }) => params), limit],
    )
    for (const row of rows) {
      notified[row.asked]?.push({
        eventNid: row.event_nid,
        position: row.stream_ordering,
        isHighlight: row.highlight === 1,
      })
    }
    return notified
  }

  /** Members of rooms, of this server, who have an enabled pusher, by room. Index room_members_membership. */
  async listPusherHolders(q: Query, roomNids: readonly number[]): Promise<Map<number, UserId[]>> {
    const holders = new Map<number, UserId[]>(roomNids.map((roomNid) => [roomNid, []]))
    if (roomNids.length === 0) return holders
    const rows = await q.all<{ room_nid: number; user_id: string }>(
      `SELECT m.room_nid, m.user_id FROM ${q.dialect.rowsFrom({ room_nid: 'integer' })} AS r
         CROSS JOIN room_members m
       WHERE m.room_nid = r.room_nid AND m.membership = 'join' AND m.is_local = 1
         AND EXISTS (SELECT 1 FROM pushers p WHERE p.user_id = m.user_id AND p.is_enabled = 1)`,
      [q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid })))],
    )
    for (const row of rows) holders.get(row.room_nid)?.push(row.user_id as UserId)
    return holders
  }

  /**
   * Of these members of rooms those whom an event of a stretch of the stream highlights, or for whom it counts otherwise
   * than for everybody; `EVERYBODY` may be among them. By primary key, as many look-ups as members.
   */
  async listSingledOut<U extends string>(
    q: Query,
    members: readonly RoomMemberKey<U>[],
    range: { readonly after: number; readonly upTo: number },
  ): Promise<RoomMemberKey<U>[]> {
    const source = q.dialect.rowsFrom({ room_nid: 'integer', user_id: 'text' })
    const bounds = [range.after, range.upTo]
    const found: RoomMemberKey<U>[] = []
    for (let first = 0; first < members.length; first += MAX_MEMBERS) {
      const rows = await q.all<{ room_nid: number; user_id: string }>(
        `SELECT r.room_nid, r.user_id FROM ${source} AS r
         WHERE ${hasEvent('event_highlights')} OR ${hasEvent('event_push_exceptions')}`,
        [memberRows(q, members.slice(first, first + MAX_MEMBERS)), ...bounds, ...bounds],
      )
      for (const row of rows) found.push({ roomNid: row.room_nid, userId: row.user_id as U })
    }
    return found
  }

  /** What users are called in rooms, where they have a name: by user, then by room. By primary key. */
  async getDisplayNames(
    q: Query,
    members: readonly RoomMemberKey[],
  ): Promise<Map<UserId, Map<number, string>>> {
    const names = new Map<UserId, Map<number, string>>()
    if (members.length === 0) return names
    const source = q.dialect.rowsFrom({ room_nid: 'integer', user_id: 'text' })
    const rows = await q.all<{ room_nid: number; user_id: string; display_name: string }>(
      `SELECT m.room_nid, m.user_id, m.display_name FROM ${source} AS r CROSS JOIN room_members m
       WHERE m.room_nid = r.room_nid AND m.user_id = r.user_id AND m.display_name IS NOT NULL`,
      [memberRows(q, members)],
    )
    for (const row of rows) {
      const userId = row.user_id as UserId
      const own = names.get(userId) ?? new Map<number, string>()
      names.set(userId, own.set(row.room_nid, row.display_name))
    }
    return names
  }
}

interface Part {
  readonly sql: string
  readonly params: readonly SqlValue[]
}

interface RoomOfUser extends NotifiedRoom {
  readonly userId: UserId
  readonly upTo: number
  /** Which of the users that are asked about. */
  readonly asked: number
}

const GROUP = {
  asked: 'integer',
  user_id: 'text',
  room_nid: 'integer',
  position: 'integer',
  up_to: 'integer',
} as const

function groupRow({ asked, userId, roomNid, position, upTo }: RoomOfUser) {
  return { asked, user_id: userId, room_nid: roomNid, position, up_to: upTo }
}

function everybody(q: Query, rooms: readonly RoomOfUser[], limit: number): Part {
  const source = newestPerGroup(q.dialect, {
    groups: q.dialect.rowsFrom(GROUP),
    table: 'events',
    match: `t.room_nid = g.room_nid AND t.notifies = 1 AND t.stream_ordering <= g.up_to
      AND t.sender <> g.user_id`,
    order: 'stream_ordering',
    limit,
  })
  return {
    sql: `SELECT g.asked, t.event_nid, t.stream_ordering, 0 AS highlight, 1 AS counts FROM ${source}`,
    params: [q.dialect.rows(rooms.map(groupRow))],
  }
}

/** `named` is whom the row names: the user, or everybody. */
function highlights(q: Query, rooms: readonly RoomOfUser[], limit: number): Part {
  const source = newestPerGroup(q.dialect, {
    groups: q.dialect.rowsFrom({ ...GROUP, named: 'text' }),
    table: 'event_highlights',
    match: 't.user_id = g.named AND t.room_nid = g.room_nid AND t.stream_ordering <= g.up_to',
    order: 'stream_ordering',
    limit,
  })
  const wanted = rooms.flatMap((room) =>
    [room.userId, EVERYBODY].map((named) => ({ ...groupRow(room), named })),
  )
  return {
    sql: `SELECT g.asked, e.event_nid, t.stream_ordering, 1 AS highlight, 1 AS counts FROM ${source}
      CROSS JOIN events e WHERE e.stream_ordering = t.stream_ordering AND e.rejected IS NULL`,
    params: [q.dialect.rows(wanted)],
  }
}

/** `counts` is 0 for what the user's rules make quiet. */
function exceptions(
  q: Query,
  rooms: readonly RoomOfUser[],
  { limit, onlyHighlights }: { limit: number; onlyHighlights: boolean },
): Part {
  const source = newestPerGroup(q.dialect, {
    groups: q.dialect.rowsFrom({ ...GROUP, quiet: 'integer' }),
    table: 'event_push_exceptions',
    match:
      't.user_id = g.user_id AND t.room_nid = g.room_nid AND t.quiet = g.quiet AND t.stream_ordering <= g.up_to',
    order: 'stream_ordering',
    limit,
  })
  const column = onlyHighlights ? 'highlights' : 'notifications'
  return {
    sql: `SELECT g.asked, e.event_nid, t.stream_ordering,
        CASE WHEN t.highlights > 0 THEN 1 ELSE 0 END AS highlight,
        CASE WHEN t.${column} < 0 THEN 0 ELSE 1 END AS counts FROM ${source}
      CROSS JOIN events e
      WHERE e.stream_ordering = t.stream_ordering AND e.rejected IS NULL AND t.${column} <> 0`,
    params: [q.dialect.rows(rooms.map((room) => ({ ...groupRow(room), quiet: room.isQuiet ? 1 : 0 })))],
  }
}

/** Whether a table of events by user has one of the member `r` in a stretch: two placeholders. */
function hasEvent(table: string): string {
  return `EXISTS (SELECT 1 FROM ${table} t WHERE t.user_id = r.user_id AND t.room_nid = r.room_nid
    AND t.stream_ordering > ? AND t.stream_ordering <= ?)`
}

function memberRows(q: Query, members: readonly RoomMemberKey<string>[]): SqlValue {
  return q.dialect.rows(members.map(({ roomNid, userId }) => ({ room_nid: roomNid, user_id: userId })))
}
