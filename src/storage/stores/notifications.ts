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

export interface NotifiedQuery {
  readonly userId: UserId
  readonly rooms: readonly NotifiedRoom[]
  /** At or below this. */
  readonly upTo: number
  readonly onlyHighlights: boolean
  /** Of each room, and of all together. */
  readonly limit: number
}

/** An event of a room at a position of the stream. */
export interface PlacedRoom {
  readonly roomNid: number
  readonly position: number
}

/** Stands for everybody but the sender in `event_highlights`. */
const EVERYBODY = '*'

interface Row {
  event_nid: number
  stream_ordering: number
  highlight: number
}

/** Which events notified whom: made of `events.notifies`, `event_highlights` and `event_push_exceptions`. */
export class NotificationsStore {
  /**
   * What notified a user, the newest first. Index events_notifying for what notifies everybody, else by primary key; as
   * many look-ups as there are rooms.
   */
  async list(
    q: Query,
    { userId, rooms, upTo, onlyHighlights, limit }: NotifiedQuery,
  ): Promise<NotifiedEvent[]> {
    if (rooms.length === 0) return []
    const loud = rooms.filter(({ isQuiet }) => !isQuiet)
    const parts = [
      ...(onlyHighlights ? [] : [everybody(q, loud, { upTo, limit, userId })]),
      highlights(q, loud, { upTo, limit, userId }),
      exceptions(q, rooms, { upTo, limit, userId, onlyHighlights }),
    ]
    const rows = await q.all<Row>(
      `SELECT event_nid, stream_ordering, MAX(highlight) AS highlight, MIN(counts) AS least FROM (
         ${parts.map(({ sql }) => sql).join(' UNION ALL ')}
       ) AS n GROUP BY event_nid, stream_ordering HAVING MIN(counts) > 0
       ORDER BY stream_ordering DESC LIMIT ?`,
      [...parts.flatMap(({ params }) => params), limit],
    )
    return rows.map((row) => ({
      eventNid: row.event_nid,
      position: row.stream_ordering,
      isHighlight: row.highlight === 1,
    }))
  }

  /**
   * Who of those with a pusher may be notified of these events, by room. Index room_members_membership, then by primary
   * key.
   */
  async listConcerned(
    q: Query,
    events: readonly (PlacedRoom & { readonly notifies: boolean })[],
  ): Promise<{ roomNid: number; userId: UserId }[]> {
    if (events.length === 0) return []
    const source = q.dialect.rowsFrom({ room_nid: 'integer', position: 'integer', notifies: 'integer' })
    const rows = await q.all<{ room_nid: number; user_id: string }>(
      `SELECT DISTINCT r.room_nid, m.user_id FROM ${source} AS r CROSS JOIN room_members m
       WHERE m.room_nid = r.room_nid AND m.membership = 'join' AND m.is_local = 1
         AND EXISTS (SELECT 1 FROM pushers p WHERE p.user_id = m.user_id AND p.is_enabled = 1)
         AND (r.notifies = 1
           OR EXISTS (SELECT 1 FROM event_highlights h WHERE h.user_id = m.user_id
             AND h.room_nid = r.room_nid AND h.stream_ordering = r.position)
           OR EXISTS (SELECT 1 FROM event_highlights h WHERE h.user_id = '${EVERYBODY}'
             AND h.room_nid = r.room_nid AND h.stream_ordering = r.position)
           OR EXISTS (SELECT 1 FROM event_push_exceptions x WHERE x.user_id = m.user_id
             AND x.room_nid = r.room_nid AND x.stream_ordering = r.position))`,
      [
        q.dialect.rows(
          events.map(({ roomNid, position, notifies }) => ({
            room_nid: roomNid,
            position,
            notifies: notifies ? 1 : 0,
          })),
        ),
      ],
    )
    return rows.map((row) => ({ roomNid: row.room_nid, userId: row.user_id as UserId }))
  }

  /** What a user is called in rooms, where they have a name. By primary key. */
  async getDisplayNames(
    q: Query,
    userId: UserId,
    roomNids: readonly number[],
  ): Promise<Map<number, string | undefined>> {
    if (roomNids.length === 0) return new Map()
    const rows = await q.all<{ room_nid: number; display_name: string | null }>(
      `SELECT room_nid, display_name FROM room_members
       WHERE ${q.dialect.anyOf('room_nid', 'integer')} AND user_id = ?`,
      [q.dialect.list(roomNids), userId],
    )
    return new Map(rows.map((row) => [row.room_nid, row.display_name ?? undefined]))
  }
}

interface Part {
  readonly sql: string
  readonly params: readonly SqlValue[]
}

function everybody(
  q: Query,
  rooms: readonly NotifiedRoom[],
  bounds: { upTo: number; limit: number; userId: UserId },
): Part {
  const source = newestPerGroup(q.dialect, {
    groups: q.dialect.rowsFrom({
      user_id: 'text',
      room_nid: 'integer',
      position: 'integer',
      up_to: 'integer',
    }),
    table: 'events',
    match: `t.room_nid = g.room_nid AND t.notifies = 1 AND t.stream_ordering <= g.up_to
      AND t.sender <> g.user_id`,
    order: 'stream_ordering',
    limit: bounds.limit,
  })
  return {
    sql: `SELECT t.event_nid, t.stream_ordering, 0 AS highlight, 1 AS counts FROM ${source}`,
    params: [
      q.dialect.rows(
        rooms.map(({ roomNid, position }) => ({
          user_id: bounds.userId,
          room_nid: roomNid,
          position,
          up_to: bounds.upTo,
        })),
      ),
    ],
  }
}

function highlights(
  q: Query,
  rooms: readonly NotifiedRoom[],
  bounds: { upTo: number; limit: number; userId: UserId },
): Part {
  const source = newestPerGroup(q.dialect, {
    groups: q.dialect.rowsFrom({
      user_id: 'text',
      room_nid: 'integer',
      position: 'integer',
      up_to: 'integer',
    }),
    table: 'event_highlights',
    match: 't.user_id = g.user_id AND t.room_nid = g.room_nid AND t.stream_ordering <= g.up_to',
    order: 'stream_ordering',
    limit: bounds.limit,
  })
  const wanted = rooms.flatMap(({ roomNid, position }) =>
    [bounds.userId, EVERYBODY].map((userId) => ({
      user_id: userId,
      room_nid: roomNid,
      position,
      up_to: bounds.upTo,
    })),
  )
  return {
    sql: `SELECT e.event_nid, t.stream_ordering, 1 AS highlight, 1 AS counts FROM ${source}
      CROSS JOIN events e WHERE e.stream_ordering = t.stream_ordering`,
    params: [q.dialect.rows(wanted)],
  }
}

/** `counts` is 0 for what the user's rules make quiet. */
function exceptions(
  q: Query,
  rooms: readonly NotifiedRoom[],
  bounds: { upTo: number; limit: number; userId: UserId; onlyHighlights: boolean },
): Part {
  const source = newestPerGroup(q.dialect, {
    groups: q.dialect.rowsFrom({
      user_id: 'text',
      room_nid: 'integer',
      position: 'integer',
      up_to: 'integer',
      quiet: 'integer',
    }),
    table: 'event_push_exceptions',
    match:
      't.user_id = g.user_id AND t.room_nid = g.room_nid AND t.quiet = g.quiet AND t.stream_ordering <= g.up_to',
    order: 'stream_ordering',
    limit: bounds.limit,
  })
  const wanted = rooms.map(({ roomNid, position, isQuiet }) => ({
    user_id: bounds.userId,
    room_nid: roomNid,
    position,
    up_to: bounds.upTo,
    quiet: isQuiet ? 1 : 0,
  }))
  const column = bounds.onlyHighlights ? 'highlights' : 'notifications'
  return {
    sql: `SELECT e.event_nid, t.stream_ordering,
        CASE WHEN t.highlights > 0 THEN 1 ELSE 0 END AS highlight,
        CASE WHEN t.${column} < 0 THEN 0 ELSE 1 END AS counts FROM ${source}
      CROSS JOIN events e WHERE e.stream_ordering = t.stream_ordering AND t.${column} <> 0`,
    params: [q.dialect.rows(wanted)],
  }
}
