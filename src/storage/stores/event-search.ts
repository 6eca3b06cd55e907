import { SEARCHABLE_TYPES } from '../../protocol/searchable-text.js'
import type { Query, SqlValue, Tx } from '../database.js'

/** The words of an event that can be found. */
export interface SearchableEvent {
  readonly eventNid: number
  readonly roomNid: number
  /** As `util/words.ts` makes them: letters, digits, marks and pictures. */
  readonly words: readonly string[]
}

/** What is looked for, and where. */
export interface EventSearchQuery {
  /** All of them must be in the event; the words of each one after the other. */
  readonly phrases: readonly (readonly string[])[]
  readonly roomNids: readonly number[]
  readonly types: readonly string[]
  readonly senders?: readonly string[] | undefined
  readonly notSenders?: readonly string[] | undefined
  readonly containsUrl?: boolean | undefined
}

/** A place in the results by recency, which go from new to old. */
export interface SearchPlace {
  readonly originServerTs: number
  readonly eventNid: number
}

export interface SearchHit extends SearchPlace {
  /** How well it matches: higher is better. Means nothing across databases. */
  readonly rank: number
}

export type SearchOrder =
  | { readonly by: 'recency'; readonly before: SearchPlace | undefined }
  | { readonly by: 'rank'; readonly offset: number }

/** How far events have been indexed: those in the range from `oldest` to `newest`, both included. */
export interface SearchPosition {
  readonly newest: number
  readonly oldest: number
}

/** Where to go on with indexing. */
export interface IndexRange {
  readonly eventNids: readonly number[]
  /** Of redactions: events that have lost their content. */
  readonly redactedNids: readonly number[]
  /** The last position that was looked at; undefined when there is nothing more. */
  readonly end: number | undefined
}

interface HitRow {
  event_nid: number
  origin_server_ts: number
  rank: number
}

/** With more rooms than this, the index is not asked for the rooms too: their events are looked at one by one. */
const MAX_INDEXED_ROOMS = 200
const FOUND =
  'e.redacted_by IS NULL AND e.rejected IS NULL AND e.soft_failed = 0 AND e.stream_ordering IS NOT NULL'

/** The full-text index of events: FTS5 on SQLite, a `tsvector` on PostgreSQL. Neither takes words apart by itself. */
export class EventSearchStore {
  async getPosition(q: Query): Promise<SearchPosition> {
    const row = await q.first<SearchPosition>('SELECT newest, oldest FROM event_search_position WHERE id = 1')
    return row ?? { newest: 0, oldest: 1 }
  }

  async setNewest(tx: Tx, newest: number): Promise<void> {
    await tx.execute('UPDATE event_search_position SET newest = ? WHERE id = 1 AND newest < ?', [
      newest,
      newest,
    ])
  }

  async setOldest(tx: Tx, oldest: number): Promise<void> {
    await tx.execute('UPDATE event_search_position SET oldest = ? WHERE id = 1 AND oldest > ?', [
      oldest,
      oldest,
    ])
  }

  /** Events after one position of the stream and up to another, `limit` at most. Index events_stream. */
  async listNewer(q: Query, range: { after: number; upTo: number }, limit: number): Promise<IndexRange> {
    return this.#list(q, {
      where: 'e.stream_ordering > ? AND e.stream_ordering <= ?',
      params: [range.after, range.upTo],
      order: 'ASC',
      limit,
    })
  }

  /** Events before one position of the stream and down to another, `limit` at most. Index events_stream. */
  async listOlder(q: Query, range: { before: number; downTo: number }, limit: number): Promise<IndexRange> {
    return this.#list(q, {
      where: 'e.stream_ordering < ? AND e.stream_ordering >= ?',
      params: [range.before, range.downTo],
      order: 'DESC',
      limit,
    })
  }

  /** Events that are there already keep their words. */
  async add(tx: Tx, events: readonly SearchableEvent[]): Promise<void> {
    if (events.length === 0) return
    if (tx.dialect.name === 'sqlite') {
      // A row of FTS5 cannot be inserted twice, and an interrupted pass is taken up again.
      await this.remove(
        tx,
        events.map(({ eventNid }) => eventNid),
      )
      const rows = events.map(({ eventNid, roomNid, words }) => ({
        event_nid: eventNid,
        room: `r${roomNid}`,
        words: words.join(' '),
      }))
      const source = tx.dialect.rowsFrom({ event_nid: 'integer', room: 'text', words: 'text' })
      await tx.execute(
        `INSERT INTO event_search (rowid, room, words) SELECT r.event_nid, r.room, r.words FROM ${source} AS r`,
        [tx.dialect.rows(rows)],
      )
      return
    }
    const rows = events.map((event) => ({ event_nid: event.eventNid, words: searchVectorOf(event) }))
    const source = tx.dialect.rowsFrom({ event_nid: 'integer', words: 'text' })
    await tx.execute(
      `INSERT INTO event_search (event_nid, words) SELECT r.event_nid, CAST(r.words AS tsvector)
       FROM ${source} AS r ON CONFLICT (event_nid) DO NOTHING`,
      [tx.dialect.rows(rows)],
    )
  }

  async remove(tx: Tx, eventNids: readonly number[]): Promise<void> {
    if (eventNids.length === 0) return
    const key = tx.dialect.name === 'sqlite' ? 'rowid' : 'event_nid'
    await tx.execute(`DELETE FROM event_search WHERE ${tx.dialect.anyOf(key, 'integer')}`, [
      tx.dialect.list(eventNids),
    ])
  }

  /** The first hits in an order. */
  async find(q: Query, query: EventSearchQuery, order: SearchOrder, limit: number): Promise<SearchHit[]> {
    const { sql, params, rank } = matchSql(q, query)
    const before = order.by === 'recency' ? order.before : undefined
    const rows = await q.all<HitRow>(
      `SELECT e.event_nid, e.origin_server_ts, ${rank.sql} AS rank ${sql}
       ${before ? 'AND (e.origin_server_ts, e.event_nid) < (?, ?)' : ''}
       ORDER BY ${order.by === 'rank' ? 'rank DESC, ' : ''}e.origin_server_ts DESC, e.event_nid DESC
       LIMIT ? OFFSET ?`,
      [
        ...rank.params,
        ...params,
        ...(before ? [before.originServerTs, before.eventNid] : []),
        limit,
        order.by === 'rank' ? order.offset : 0,
      ],
    )
    return rows.map((row) => ({
      eventNid: row.event_nid,
      originServerTs: row.origin_server_ts,
      rank: row.rank,
    }))
  }

  /** How many hits there are, counted up to `limit`. */
  async count(q: Query, query: EventSearchQuery, limit: number): Promise<number> {
    const { sql, params } = matchSql(q, query)
    const row = await q.first<{ hits: number }>(
      `SELECT COUNT(*) AS hits FROM (SELECT e.event_nid ${sql} LIMIT ?) AS h`,
      [...params, limit],
    )
    return row?.hits ?? 0
  }

  async #list(
    q: Query,
    range: { where: string; params: readonly SqlValue[]; order: 'ASC' | 'DESC'; limit: number },
  ): Promise<IndexRange> {
    const rows = await q.all<{
      event_nid: number
      stream_ordering: number
      type: string
      target_nid: number | null
    }>(
      `SELECT e.event_nid, e.stream_ordering, e.type, t.event_nid AS target_nid
       FROM (SELECT event_nid, stream_ordering, type, redacted_by FROM events e
             WHERE ${range.where} ORDER BY e.stream_ordering ${range.order} LIMIT ?) AS e
         LEFT JOIN redactions r ON r.redaction_nid = e.event_nid AND r.applied = 1 AND e.type = 'm.room.redaction'
         LEFT JOIN events t ON t.event_id = r.target_id
       ORDER BY e.stream_ordering ${range.order}`,
      [...range.params, range.limit],
    )
    const types: ReadonlySet<string> = new Set(SEARCHABLE_TYPES)
    return {
      eventNids: rows.filter(({ type }) => types.has(type)).map((row) => row.event_nid),
      redactedNids: rows.flatMap((row) => row.target_nid ?? []),
      end: rows.length < range.limit ? undefined : rows.at(-1)!.stream_ordering,
    }
  }
}

interface MatchSql {
  /** From FROM on. */
  readonly sql: string
  readonly params: readonly SqlValue[]
  readonly rank: { readonly sql: string; readonly params: readonly SqlValue[] }
}

function matchSql(q: Query, query: EventSearchQuery): MatchSql {
  const filters = filterSql(q, query)
  const rooms = query.roomNids.length <= MAX_INDEXED_ROOMS ? query.roomNids : []
  if (q.dialect.name === 'sqlite') {
    return {
      sql: `FROM event_search CROSS JOIN events e ON e.event_nid = event_search.rowid
        WHERE event_search MATCH ? AND ${filters.sql}`,
      params: [fts5Query(query.phrases, rooms), ...filters.params],
      rank: { sql: '-bm25(event_search, 0.0, 1.0)', params: [] },
    }
  }
  return {
    sql: `FROM event_search s JOIN events e ON e.event_nid = s.event_nid
      WHERE s.words @@ CAST(? AS tsquery) AND ${filters.sql}`,
    params: [tsQuery(query.phrases, rooms), ...filters.params],
    // Divided by the logarithm of the length, as the other database does in its way.
    rank: { sql: 'ts_rank(s.words, CAST(? AS tsquery), 1)', params: [tsQuery(query.phrases, [])] },
  }
}

function filterSql(q: Query, query: EventSearchQuery): { sql: string; params: SqlValue[] } {
  const conditions = [FOUND, q.dialect.anyOf('e.room_nid', 'integer'), q.dialect.anyOf('e.type', 'text')]
  const params: SqlValue[] = [q.dialect.list(query.roomNids), q.dialect.list(query.types)]
  if (query.senders) {
    conditions.push(q.dialect.anyOf('e.sender', 'text'))
    params.push(q.dialect.list(query.senders))
  }
  if (query.notSenders?.length) {
    conditions.push(`NOT (${q.dialect.anyOf('e.sender', 'text')})`)
    params.push(q.dialect.list(query.notSenders))
  }
  if (query.containsUrl !== undefined) {
    conditions.push('e.contains_url = ?')
    params.push(query.containsUrl ? 1 : 0)
  }
  return { sql: conditions.join(' AND '), params }
}

/** Words hold no quotes: nothing of them can be taken for syntax. */
function fts5Query(phrases: EventSearchQuery['phrases'], rooms: readonly number[]): string {
  const words = phrases.map((phrase) => `"${phrase.join(' ')}"`).join(' AND ')
  const text = `{words} : (${words})`
  return rooms.length === 0 ? text : `{room} : (${rooms.map((room) => `r${room}`).join(' OR ')}) AND ${text}`
}

function tsQuery(phrases: EventSearchQuery['phrases'], rooms: readonly number[]): string {
  const words = phrases.map((phrase) => `(${phrase.map((word) => `'${word}'`).join(' <-> ')})`)
  return [...words, ...(rooms.length > 0 ? [`(${rooms.map((room) => `'!${room}'`).join(' | ')})`] : [])].join(
    ' & ',
  )
}

/**
 * The words of an event as PostgreSQL keeps them, the text of a `tsvector`: each with its place, and the room as a word
 * that no text can have. PostgreSQL itself brings together the places of a word, and drops those that it has no room for.
 */
export function searchVectorOf({ roomNid, words }: SearchableEvent): string {
  let vector = `'!${roomNid}'`
  for (let index = 0; index < words.length; index++) vector += ` '${words[index]!}':${index + 1}`
  return vector
}
