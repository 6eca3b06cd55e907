import type { Query } from '../database.js'
import type { EventId, UserId } from '../../protocol/ids.js'
import {
  beyond,
  joinSql,
  orderSql,
  rangeSql,
  type Sql,
  type TimelinePosition,
  type TimelineRange,
} from '../timeline-range.js'
import { EVENT_COLUMNS, type EventRow, type EventsStore, type StoredEvent } from './events.js'

/** An event whose children are asked for. */
export interface RelationParent {
  readonly eventId: EventId
  readonly roomNid: number
  /** The last position of the events stream that the reader may see in this room. */
  readonly ceiling: number
}

export interface ThreadSummary {
  readonly count: number
  /** The reader has sent one of the replies. */
  readonly participated: boolean
}

export interface ChildrenRequest extends TimelineRange {
  readonly roomNid: number
  readonly parentId: EventId
  readonly relType?: string | undefined
  readonly eventType?: string | undefined
  /** How many relations may lie between parent and child: 1 for direct children only. */
  readonly maxLevel: number
  readonly ignored: ReadonlySet<UserId>
  readonly limit: number
}

export interface ThreadsRequest {
  readonly roomNid: number
  readonly ceiling: number
  /** Only threads whose latest reply is before this position of the events stream. */
  readonly before?: number | undefined
  /** Only threads in which this user has written. */
  readonly participant?: UserId | undefined
  readonly ignored: ReadonlySet<UserId>
  readonly limit: number
}

/** Whether an event `e` counts as a child of whatever it relates to. */
const COUNTS =
  'e.relates_to IS NOT NULL AND e.redacted_by IS NULL AND e.rejected IS NULL AND e.soft_failed = 0'

/**
 * What counts as a child `e` of `r.parent`: the same room, and not taken back. The plus keeps SQLite from walking
 * through the room by an index on it.
 */
const CHILD = `e.relates_to = r.parent AND +e.room_nid = r.room_nid AND e.stream_ordering <= r.ceiling
  AND ${COUNTS}`

/** More references than this are not listed with an event. */
const MAX_REFERENCES = 500

/**
 * How events relate to others, for any number of parents with one statement each. Index events_relations.
 * https://spec.matrix.org/latest/client-server-api/#forming-relationships-between-events
 */
export class RelationsStore {
  readonly #events: EventsStore

  constructor(events: EventsStore) {
    this.#events = events
  }

  /**
   * Which of the parents have children of which of the types. Asked of every timeline, and mostly for nothing: the IDs
   * alone go to the database, and what it finds is held against the parents here.
   */
  async listRelTypes(
    q: Query,
    parents: readonly RelationParent[],
    relTypes: readonly string[],
  ): Promise<Map<string, Set<EventId>>> {
    const byId = new Map(parents.map((parent) => [parent.eventId, parent]))
    const rows = await q.all<{ parent: EventId; room_nid: number; rel_type: string; first: number | null }>(
      `SELECT e.relates_to AS parent, e.room_nid, e.rel_type, MIN(e.stream_ordering) AS first FROM events e
       WHERE ${q.dialect.anyOf('e.relates_to', 'text')} AND ${q.dialect.anyOf('e.rel_type', 'text')} AND ${COUNTS}
       GROUP BY e.relates_to, e.room_nid, e.rel_type`,
      [q.dialect.list([...byId.keys()]), q.dialect.list(relTypes)],
    )
    const found = new Map<string, Set<EventId>>()
    for (const { parent: parentId, room_nid: roomNid, rel_type: relType, first } of rows) {
      const parent = byId.get(parentId)!
      if (first === null || roomNid !== parent.roomNid || first > parent.ceiling) continue
      const ids = found.get(relType) ?? new Set()
      found.set(relType, ids.add(parentId))
    }
    return found
  }

  /**
   * The latest replacements of each parent by its own sender, of its own type, newest first by `origin_server_ts` and
   * event ID; at most `perParent`.
   */
  async listReplacements(
    q: Query,
    parents: readonly RelationParent[],
    perParent: number,
  ): Promise<StoredEvent[]> {
    const source = parentsSql(q, parents)
    return this.#ranked(q, perParent, {
      sql: `SELECT ${EVENT_COLUMNS}, ROW_NUMBER() OVER
              (PARTITION BY e.relates_to ORDER BY e.origin_server_ts DESC, e.event_id DESC) AS place
            FROM ${source.sql}
            JOIN events p ON p.event_id = r.parent
            JOIN events e ON ${CHILD} AND e.rel_type = 'm.replace'
            WHERE e.sender = p.sender AND e.type = p.type AND e.state_key IS NULL AND p.state_key IS NULL`,
      params: source.params,
    })
  }

  /** How many replies each thread has, without those of ignored users. */
  async summarizeThreads(
    q: Query,
    roots: readonly RelationParent[],
    reader: { userId: UserId | undefined; ignored: ReadonlySet<UserId> },
  ): Promise<Map<EventId, ThreadSummary>> {
    const source = parentsSql(q, roots)
    const ignored = notIgnored(q, reader.ignored)
    const rows = await q.all<{ parent: string; replies: number; own: number }>(
      `SELECT r.parent, COUNT(*) AS replies, SUM(CASE WHEN e.sender = ? THEN 1 ELSE 0 END) AS own
       FROM ${source.sql} JOIN events e ON ${CHILD} AND e.rel_type = 'm.thread'
       ${ignored ? `WHERE ${ignored.sql}` : ''} GROUP BY r.parent`,
      [reader.userId ?? '', ...source.params, ...(ignored?.params ?? [])],
    )
    return new Map(
      rows.map((row) => [row.parent as EventId, { count: row.replies, participated: row.own > 0 }]),
    )
  }

  /** The latest replies of each thread in topological order, newest first; at most `perRoot`. */
  async listLatestReplies(
    q: Query,
    roots: readonly RelationParent[],
    ignored: ReadonlySet<UserId>,
    perRoot: number,
  ): Promise<StoredEvent[]> {
    const source = parentsSql(q, roots)
    const condition = notIgnored(q, ignored)
    return this.#ranked(q, perRoot, {
      sql: `SELECT ${EVENT_COLUMNS}, ROW_NUMBER() OVER
              (PARTITION BY e.relates_to ORDER BY e.depth DESC, e.stream_ordering DESC) AS place
            FROM ${source.sql} JOIN events e ON ${CHILD} AND e.rel_type = 'm.thread'
            ${condition ? `WHERE ${condition.sql}` : ''}`,
      params: [...source.params, ...(condition?.params ?? [])],
    })
  }

  /** The IDs of the events that reference each parent, oldest first; at most 500 of each. */
  async listReferences(
    q: Query,
    parents: readonly RelationParent[],
    ignored: ReadonlySet<UserId>,
  ): Promise<Map<EventId, EventId[]>> {
    const source = parentsSql(q, parents)
    const condition = notIgnored(q, ignored)
    const rows = await q.all<{ parent: string; event_id: string }>(
      `SELECT n.parent, n.event_id FROM
         (SELECT r.parent, e.event_id, ROW_NUMBER() OVER
            (PARTITION BY e.relates_to ORDER BY e.depth, e.stream_ordering) AS place
          FROM ${source.sql} JOIN events e ON ${CHILD} AND e.rel_type = 'm.reference'
          ${condition ? `WHERE ${condition.sql}` : ''}) AS n
       WHERE n.place <= ${MAX_REFERENCES} ORDER BY n.place`,
      [...source.params, ...(condition?.params ?? [])],
    )
    const found = new Map<EventId, EventId[]>()
    for (const row of rows) {
      const ids = found.get(row.parent as EventId) ?? []
      ids.push(row.event_id as EventId)
      found.set(row.parent as EventId, ids)
    }
    return found
  }

  /** A page of the events that relate to one, in topological order. */
  async pageOfChildren(
    q: Query,
    request: ChildrenRequest,
  ): Promise<{ events: StoredEvent[]; end: TimelinePosition | undefined }> {
    const { direction, limit } = request
    const where = joinSql(
      { sql: '+e.room_nid = ? AND e.redacted_by IS NULL', params: [request.roomNid] },
      rangeSql(request),
      request.relType === undefined ? undefined : { sql: 'e.rel_type = ?', params: [request.relType] },
      request.eventType === undefined ? undefined : { sql: 'e.type = ?', params: [request.eventType] },
      notIgnored(q, request.ignored),
    )
    const rows = await q.all<EventRow & { depth: number }>(
      `WITH RECURSIVE related (event_id, level) AS (
         SELECT CAST(? AS TEXT), 0
         UNION
         SELECT c.event_id, related.level + 1 FROM related
         JOIN events c ON c.relates_to = related.event_id AND c.relates_to IS NOT NULL
         WHERE related.level < ? AND +c.room_nid = ? AND c.redacted_by IS NULL
       )
       SELECT ${EVENT_COLUMNS}, e.depth FROM events e
       WHERE e.event_id IN (SELECT event_id FROM related WHERE level > 0) AND ${where.sql}
       ${orderSql(direction)} LIMIT ?`,
      [request.parentId, request.maxLevel, request.roomNid, ...where.params, limit + 1],
    )
    const page = rows.slice(0, limit)
    const events = [...(await this.#events.fromRows(q, page)).values()]
    return { events, end: rows.length > limit ? beyond(direction, page.at(-1)) : undefined }
  }

  /** The threads of a room, those with the latest replies first. Index events_threads. */
  async listThreads(q: Query, request: ThreadsRequest): Promise<{ rootId: EventId; latest: number }[]> {
    const replies = joinSql(
      {
        sql: `e.room_nid = ? AND e.thread_root IS NOT NULL AND e.redacted_by IS NULL AND e.rejected IS NULL
              AND e.soft_failed = 0 AND +e.stream_ordering <= ?`,
        params: [request.roomNid, request.ceiling],
      },
      notIgnored(q, request.ignored),
    )
    const roots = joinSql(
      { sql: '+p.room_nid = ?', params: [request.roomNid] },
      request.before === undefined ? undefined : { sql: 't.latest < ?', params: [request.before] },
      request.participant === undefined
        ? undefined
        : { sql: '(t.own > 0 OR p.sender = ?)', params: [request.participant] },
    )
    const rows = await q.all<{ thread_root: string; latest: number }>(
      `SELECT t.thread_root, t.latest FROM
         (SELECT e.thread_root, MAX(e.stream_ordering) AS latest,
            SUM(CASE WHEN e.sender = ? THEN 1 ELSE 0 END) AS own
          FROM events e WHERE ${replies.sql} GROUP BY e.thread_root) AS t
       JOIN events p ON p.event_id = t.thread_root
       WHERE ${roots.sql} ORDER BY t.latest DESC LIMIT ?`,
      [request.participant ?? '', ...replies.params, ...roots.params, request.limit],
    )
    return rows.map((row) => ({ rootId: row.thread_root as EventId, latest: row.latest }))
  }

  /** Those of the rows that have a good enough place, by place. */
  async #ranked(q: Query, places: number, source: Sql): Promise<StoredEvent[]> {
    const rows = await q.all<EventRow>(
      `SELECT ${EVENT_COLUMNS} FROM (${source.sql}) AS e WHERE e.place <= ? ORDER BY e.place`,
      [...source.params, places],
    )
    return [...(await this.#events.fromRows(q, rows)).values()]
  }
}

function parentsSql(q: Query, parents: readonly RelationParent[]): Sql {
  const columns = { parent: 'text', room_nid: 'integer', ceiling: 'integer' } as const
  const rows = parents.map(({ eventId, roomNid, ceiling }) => ({
    parent: eventId,
    room_nid: roomNid,
    ceiling,
  }))
  return { sql: `${q.dialect.rowsFrom(columns)} AS r`, params: [q.dialect.rows(rows)] }
}

function notIgnored(q: Query, ignored: ReadonlySet<UserId>): Sql | undefined {
  if (ignored.size === 0) return undefined
  return { sql: `NOT (${q.dialect.anyOf('e.sender', 'text')})`, params: [q.dialect.list([...ignored])] }
}
