import type { Query, SqlValue } from '../database.js'
import {
  beyond,
  joinSql,
  orderSql,
  rangeSql,
  type Direction,
  type Sql,
  type TimelineBound,
  type TimelinePosition,
  type TimelineRange,
} from '../timeline-range.js'
import { EVENT_COLUMNS, type EventRow, type EventsStore, type StoredEvent } from './events.js'

/** What the database leaves out. The caller filters again: patterns may let too much through. */
export interface TimelineFilter {
  /** `*` stands for anything. */
  readonly types?: readonly string[] | undefined
  readonly notTypes?: readonly string[] | undefined
  readonly senders?: readonly string[] | undefined
  readonly notSenders?: readonly string[] | undefined
  readonly containsUrl?: boolean | undefined
  /** Only events that others relate to in one of these ways, by one of these senders. */
  readonly relatedByRelTypes?: readonly string[] | undefined
  readonly relatedBySenders?: readonly string[] | undefined
}

export interface PageRequest extends TimelineRange {
  readonly roomNid: number
  readonly from: TimelineBound
  readonly limit: number
  readonly filter?: TimelineFilter | undefined
}

export interface TimelinePage {
  readonly events: readonly StoredEvent[]
  /** Where to go on; undefined when there is nothing beyond. */
  readonly end: TimelinePosition | undefined
}

/** How many events one statement looks at when a filter may let few of them through. */
const WINDOW = 5_000
/** How many events before or after a position of the stream tell the depth there. */
const DEPTH_SAMPLE = 1_000

/** The events of rooms in topological order: by depth, and by position where that is the same. */
export class RoomTimelineStore {
  readonly #events: EventsStore

  constructor(events: EventsStore) {
    this.#events = events
  }

  /**
   * A page of events without outliers, rejected and soft-failed ones. With a filter it may hold fewer than `limit`,
   * even none, although there are more: `end` tells. Index events_room_depth.
   */
  async page(q: Query, request: PageRequest): Promise<TimelinePage> {
    const { roomNid, direction, limit } = request
    const range = joinSql(
      { sql: 'e.room_nid = ?', params: [roomNid] },
      rangeSql(request),
      await this.#depthSql(q, request),
    )
    const filter = filterSql(q, request.filter)
    const order = orderSql(direction)
    const source = filter
      ? `(SELECT * FROM events e WHERE ${range.sql} ${order} LIMIT ${WINDOW}) AS e WHERE ${filter.sql}`
      : `events e WHERE ${range.sql}`
    const rows = await q.all<EventRow & { depth: number }>(
      `SELECT ${EVENT_COLUMNS}, e.depth FROM ${source} ${order} LIMIT ?`,
      [...range.params, ...(filter?.params ?? []), limit + 1],
    )
    const page = rows.slice(0, limit)
    const events = [...(await this.#events.fromRows(q, page)).values()]
    if (rows.length > limit) return { events, end: beyond(direction, page.at(-1)) }
    return { events, end: filter && (await this.#endOfWindow(q, direction, range)) }
  }

  /** The last event of a room at or before a bound that is no outlier, rejected or soft-failed. */
  async lastAt(q: Query, roomNid: number, bound: TimelineBound): Promise<StoredEvent | undefined> {
    if (bound.depth !== undefined) {
      const ceiling = Number.MAX_SAFE_INTEGER
      return (await this.page(q, { roomNid, direction: 'b', from: bound, ceiling, limit: 1 })).events[0]
    }
    const row = await q.first<EventRow>(
      `SELECT ${EVENT_COLUMNS} FROM events e
       WHERE e.room_nid = ? AND e.stream_ordering <= ? AND e.rejected IS NULL AND e.soft_failed = 0
       ORDER BY e.stream_ordering DESC LIMIT 1`,
      [roomNid, bound.streamOrdering],
    )
    return row && [...(await this.#events.fromRows(q, [row])).values()][0]
  }

  /** What came after one position of the stream and up to another, in that order. Index events_room_stream. */
  async listStream(
    q: Query,
    roomNid: number,
    range: { readonly after: number; readonly upTo: number },
    limit: number,
  ): Promise<StoredEvent[]> {
    const rows = await q.all<EventRow>(
      `SELECT ${EVENT_COLUMNS} FROM events e
       WHERE e.room_nid = ? AND e.stream_ordering > ? AND e.stream_ordering <= ?
         AND e.rejected IS NULL AND e.soft_failed = 0
       ORDER BY e.stream_ordering LIMIT ?`,
      [roomNid, range.after, range.upTo, limit],
    )
    return [...(await this.#events.fromRows(q, rows)).values()]
  }

  /** Events at or after a time (`f`), or at or before it (`b`), the closest first. Index events_room_ts. */
  async listByTimestamp(
    q: Query,
    roomNid: number,
    query: { direction: Direction; ts: number; ceiling: number; limit: number; offset: number },
  ): Promise<StoredEvent[]> {
    const [operator, order] = query.direction === 'f' ? ['>=', 'ASC'] : ['<=', 'DESC']
    const range = rangeSql(query)
    const rows = await q.all<EventRow>(
      `SELECT ${EVENT_COLUMNS} FROM events e
       WHERE e.room_nid = ? AND e.origin_server_ts ${operator} ? AND ${range.sql}
       ORDER BY e.origin_server_ts ${order}, e.depth ${order}, e.stream_ordering ${order} LIMIT ? OFFSET ?`,
      [roomNid, query.ts, ...range.params, query.limit, query.offset],
    )
    return [...(await this.#events.fromRows(q, rows)).values()]
  }

  /**
   * The depth at a position of the stream, so that the index is entered there. It is that of the outermost of many
   * events around: on branches, later events may be less deep.
   */
  async #depthSql(q: Query, { roomNid, direction, from }: PageRequest): Promise<Sql | undefined> {
    if (from.depth !== undefined) return undefined
    const [operator, order, outermost] = direction === 'b' ? ['<=', 'DESC', 'MAX'] : ['>', 'ASC', 'MIN']
    const row = await q.first<{ depth: number | null }>(
      `SELECT ${outermost}(n.depth) AS depth FROM
         (SELECT e.depth FROM events e WHERE e.room_nid = ? AND e.stream_ordering ${operator} ?
          ORDER BY e.stream_ordering ${order} LIMIT ${DEPTH_SAMPLE}) AS n`,
      [roomNid, from.streamOrdering],
    )
    return { sql: `e.depth ${direction === 'b' ? '<=' : '>='} ?`, params: [row?.depth ?? 0] }
  }

  /** Where the window ended that a filter was applied to. */
  async #endOfWindow(q: Query, direction: Direction, range: Sql): Promise<TimelinePosition | undefined> {
    const row = await q.first<{ depth: number; stream_ordering: number }>(
      `SELECT e.depth, e.stream_ordering FROM events e
       WHERE ${range.sql} ${orderSql(direction)} LIMIT 1 OFFSET ${WINDOW - 1}`,
      range.params,
    )
    return beyond(direction, row)
  }
}

function filterSql(q: Query, filter: TimelineFilter = {}): Sql | undefined {
  // Patterns are left to the caller: here they could take away too much.
  const notTypes = filter.notTypes?.filter((type) => !type.includes('*'))
  const joined = joinSql(
    filter.types && typesSql(q, filter.types),
    notTypes?.length ? notAmong(q, 'e.type', notTypes) : undefined,
    filter.senders && {
      sql: q.dialect.anyOf('e.sender', 'text'),
      params: [q.dialect.list(filter.senders)],
    },
    filter.notSenders?.length ? notAmong(q, 'e.sender', filter.notSenders) : undefined,
    filter.containsUrl === undefined
      ? undefined
      : { sql: 'e.contains_url = ?', params: [filter.containsUrl ? 1 : 0] },
    (filter.relatedByRelTypes ?? filter.relatedBySenders) ? relatedBySql(q, filter) : undefined,
  )
  return joined.sql === '' ? undefined : joined
}

function notAmong(q: Query, column: string, values: readonly string[]): Sql {
  return { sql: `NOT (${q.dialect.anyOf(column, 'text')})`, params: [q.dialect.list(values)] }
}

/** More patterns than this are left to the caller. */
const MAX_PATTERNS = 20

/**
 * Of patterns only what comes before the first `*`; and `LIKE` may be blind to case. What that lets through is looked at
 * again.
 */
function typesSql(q: Query, types: readonly string[]): Sql | undefined {
  const exact = types.filter((type) => !type.includes('*'))
  const patterns = types.filter((type) => type.includes('*'))
  if (patterns.length > MAX_PATTERNS || patterns.some((type) => type.startsWith('*'))) return undefined
  const conditions = [q.dialect.anyOf('e.type', 'text'), ...patterns.map(() => "e.type LIKE ? ESCAPE '~'")]
  return {
    sql: `(${conditions.join(' OR ')})`,
    params: [q.dialect.list(exact), ...patterns.map(prefixPattern)],
  }
}

function prefixPattern(type: string): string {
  const prefix = type.slice(0, type.indexOf('*'))
  return `${prefix.replace(/[%_~]/g, (character) => `~${character}`)}%`
}

/** Index events_relations. */
function relatedBySql(q: Query, filter: TimelineFilter): Sql {
  const { relatedByRelTypes: relTypes, relatedBySenders: senders } = filter
  const params: SqlValue[] = []
  let sql = `EXISTS (SELECT 1 FROM events c WHERE c.relates_to = e.event_id AND c.relates_to IS NOT NULL
    AND +c.room_nid = e.room_nid AND c.redacted_by IS NULL AND c.rejected IS NULL AND c.soft_failed = 0`
  if (relTypes) {
    sql += ` AND ${q.dialect.anyOf('c.rel_type', 'text')}`
    params.push(q.dialect.list(relTypes))
  }
  if (senders) {
    sql += ` AND ${q.dialect.anyOf('c.sender', 'text')}`
    params.push(q.dialect.list(senders))
  }
  return { sql: `${sql})`, params }
}
