import type { EventId, RoomAlias, RoomId, UserId } from '../../protocol/ids.js'
import type { Query, SqlValue } from '../database.js'

/** A room as its row says. Of whatever version: what this server cannot take part in is listed as well. */
export interface RoomRow {
  readonly roomNid: number
  readonly roomId: RoomId
  readonly version: string
  readonly creator: UserId
  readonly roomType: string | undefined
  /** In the directory. */
  readonly isPublic: boolean
  /** When this server first had to do with it. */
  readonly createdTs: number
  readonly joinedMembers: number
  readonly invitedMembers: number
}

/** What can be counted of a room. */
export type RoomCount = 'localMembers' | 'stateEvents' | 'extremities' | 'events'

/** What a room's events are, and the room they take as text. */
export interface RoomEventCounts {
  readonly total: number
  /** Known, but with no place in the timeline. */
  readonly outliers: number
  readonly backfilled: number
  readonly rejected: number
  readonly softFailed: number
  readonly bytes: number
  readonly oldestTs: number | undefined
  readonly newestTs: number | undefined
}

/** A leaf of a room's graph. */
export interface RoomEnd {
  readonly eventId: EventId
  readonly type: string
  readonly sender: UserId
  readonly depth: number
  readonly originServerTs: number
}

interface Row {
  room_nid: number
  room_id: string
  version: string
  creator: string
  room_type: string | null
  is_public: number
  created_ts: number
  joined_members: number
  invited_members: number
}

const COUNTS: Readonly<Record<RoomCount, { table: string; where: string }>> = {
  localMembers: { table: 'room_members', where: `membership = 'join' AND is_local = 1` },
  stateEvents: { table: 'current_state', where: '1 = 1' },
  extremities: { table: 'forward_extremities', where: '1 = 1' },
  events: { table: 'events', where: '1 = 1' },
}

const COLUMNS = `room_nid, room_id, version, creator, room_type, is_public, created_ts, joined_members,
  invited_members`

/** Lists of rooms and what is in them, for administrators. Some read whole tables. */
export class RoomListingStore {
  /** All rooms. */
  async list(q: Query): Promise<RoomRow[]> {
    return (await q.all<Row>(`SELECT ${COLUMNS} FROM rooms ORDER BY room_nid`)).map(toRow)
  }

  /** By unique index. */
  async get(q: Query, roomId: RoomId): Promise<RoomRow | undefined> {
    const row = await q.first<Row>(`SELECT ${COLUMNS} FROM rooms WHERE room_id = ?`, [roomId])
    return row && toRow(row)
  }

  /** Those that are there. By unique index. */
  async getMany(q: Query, roomIds: readonly RoomId[]): Promise<RoomRow[]> {
    if (roomIds.length === 0) return []
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM rooms WHERE ${q.dialect.anyOf('room_id', 'text')}`,
      [q.dialect.list(roomIds)],
    )
    return rows.map(toRow)
  }

  /** How many there are in each of these rooms, or in each of all; rooms without any are absent. */
  async count(q: Query, what: RoomCount, roomNids?: readonly number[]): Promise<Map<number, number>> {
    const { table, where } = COUNTS[what]
    const params: SqlValue[] = roomNids === undefined ? [] : [q.dialect.list(roomNids)]
    const narrowed = roomNids === undefined ? '' : ` AND ${q.dialect.anyOf('room_nid', 'integer')}`
    const rows = await q.all<{ room_nid: number; n: number }>(
      `SELECT room_nid, COUNT(*) AS n FROM ${table} WHERE ${where}${narrowed} GROUP BY room_nid`,
      params,
    )
    return new Map(rows.map((row) => [row.room_nid, row.n]))
  }

  /**
   * The current state of rooms, of these types and with the empty state key, as JSON of events. Leaves caches of events
   * alone, which so many would empty.
   */
  async listState(
    q: Query,
    roomNids: readonly number[],
    types: readonly string[],
  ): Promise<{ roomNid: number; type: string; json: string; isRedacted: boolean }[]> {
    const rows = await q.all<{ room_nid: number; type: string; json: string; redacted_by: string | null }>(
      `SELECT s.room_nid, s.type, e.json, e.redacted_by
       FROM current_state s JOIN events e ON e.event_nid = s.event_nid
       WHERE ${q.dialect.anyOf('s.room_nid', 'integer')} AND ${q.dialect.anyOf('s.type', 'text')}
         AND s.state_key = ''`,
      [q.dialect.list(roomNids), q.dialect.list(types)],
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      type: row.type,
      json: row.json,
      isRedacted: row.redacted_by !== null,
    }))
  }

  /** Reads all events of the room. */
  async countEvents(q: Query, roomNid: number): Promise<RoomEventCounts> {
    const row = await q.first<{
      total: number
      outliers: number
      backfilled: number
      rejected: number
      soft_failed: number
      bytes: number
      oldest: number | null
      newest: number | null
    }>(
      `SELECT COUNT(*) AS total,
         COUNT(CASE WHEN stream_ordering IS NULL THEN 1 END) AS outliers,
         COUNT(CASE WHEN stream_ordering < 0 THEN 1 END) AS backfilled,
         COUNT(rejected) AS rejected,
         COUNT(CASE WHEN soft_failed = 1 THEN 1 END) AS soft_failed,
         CAST(COALESCE(SUM(OCTET_LENGTH(json)), 0) AS BIGINT) AS bytes,
         MIN(received_ts) AS oldest, MAX(received_ts) AS newest
       FROM events WHERE room_nid = ?`,
      [roomNid],
    )
    if (row === undefined) throw new Error('A count gave no row')
    const { soft_failed: softFailed, oldest, newest, ...counts } = row
    return { ...counts, softFailed, oldestTs: oldest ?? undefined, newestTs: newest ?? undefined }
  }

  /** How many snapshots of its state are kept, and the room they take. By unique index prefix. */
  async countSnapshots(q: Query, roomNid: number): Promise<{ snapshots: number; bytes: number }> {
    const row = await q.first<{ n: number; bytes: number | null }>(
      `SELECT COUNT(*) AS n, CAST(SUM(OCTET_LENGTH(delta)) AS BIGINT) AS bytes FROM state_snapshots
       WHERE room_nid = ?`,
      [roomNid],
    )
    return { snapshots: row?.n ?? 0, bytes: row?.bytes ?? 0 }
  }

  /** How much of the current state there is of each type, most first. By primary key prefix. */
  async countStateTypes(q: Query, roomNid: number): Promise<{ type: string; n: number }[]> {
    return q.all(
      `SELECT type, COUNT(*) AS n FROM current_state WHERE room_nid = ? GROUP BY type ORDER BY n DESC, type`,
      [roomNid],
    )
  }

  /** How many people there are of each membership. Index room_members_membership. */
  async countMembers(q: Query, roomNid: number): Promise<{ membership: string; n: number }[]> {
    return q.all(
      `SELECT membership, COUNT(*) AS n FROM room_members WHERE room_nid = ?
       GROUP BY membership ORDER BY membership`,
      [roomNid],
    )
  }

  /** The devices of those of ours who are in the room, and whether all of ours who were there have forgotten it. */
  async countOurs(q: Query, roomNid: number): Promise<{ devices: number; isForgotten: boolean }> {
    const row = await q.first<{ devices: number; remembering: number }>(
      `SELECT
         (SELECT COUNT(*) FROM room_members m JOIN devices d ON d.user_id = m.user_id
          WHERE m.room_nid = ? AND m.membership = 'join' AND m.is_local = 1) AS devices,
         (SELECT COUNT(*) FROM room_members m
          WHERE m.room_nid = ? AND m.is_local = 1 AND m.forgotten = 0) AS remembering`,
      [roomNid, roomNid],
    )
    return { devices: row?.devices ?? 0, isForgotten: row?.remembering === 0 }
  }

  /** How many events are referred to that are not held. Index missing_events_room. */
  async countMissing(q: Query, roomNid: number): Promise<number> {
    const row = await q.first<{ n: number }>('SELECT COUNT(*) AS n FROM missing_events WHERE room_nid = ?', [
      roomNid,
    ])
    return row?.n ?? 0
  }

  /** The leaves of the graph, deepest first, at most `limit`. */
  async listEnds(q: Query, roomNid: number, limit: number): Promise<RoomEnd[]> {
    const rows = await q.all<{
      event_id: string
      type: string
      sender: string
      depth: number
      origin_server_ts: number
    }>(
      `SELECT e.event_id, e.type, e.sender, e.depth, e.origin_server_ts
       FROM forward_extremities f JOIN events e ON e.event_nid = f.event_nid
       WHERE f.room_nid = ? ORDER BY e.depth DESC, e.event_nid DESC LIMIT ?`,
      [roomNid, limit],
    )
    return rows.map((row) => ({
      eventId: row.event_id as EventId,
      type: row.type,
      sender: row.sender as UserId,
      depth: row.depth,
      originServerTs: row.origin_server_ts,
    }))
  }

  /** By primary key of aliases. */
  async findByAlias(q: Query, alias: RoomAlias): Promise<RoomId | undefined> {
    const row = await q.first<{ room_id: string }>(
      `SELECT r.room_id FROM room_aliases a JOIN rooms r ON r.room_nid = a.room_nid WHERE a.alias = ?`,
      [alias],
    )
    return row?.room_id as RoomId | undefined
  }

  /** The aliases of this server. Index room_aliases_room. */
  async listAliases(q: Query, roomNid: number): Promise<string[]> {
    const rows = await q.all<{ alias: string }>(
      'SELECT alias FROM room_aliases WHERE room_nid = ? ORDER BY alias',
      [roomNid],
    )
    return rows.map(({ alias }) => alias)
  }
}

function toRow(row: Row): RoomRow {
  return {
    roomNid: row.room_nid,
    roomId: row.room_id as RoomId,
    version: row.version,
    creator: row.creator as UserId,
    roomType: row.room_type ?? undefined,
    isPublic: row.is_public === 1,
    createdTs: row.created_ts,
    joinedMembers: row.joined_members,
    invitedMembers: row.invited_members,
  }
}
