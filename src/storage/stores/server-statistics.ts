import type { RoomId, ServerName, UserId } from '../../protocol/ids.js'
import type { Query, SqlValue } from '../database.js'

/** How much somebody has uploaded. */
export interface MediaStatistic {
  readonly userId: UserId
  readonly displayName: string | undefined
  readonly files: number
  readonly bytes: number
}

export interface MediaStatisticsQuery {
  /** When it was uploaded, in milliseconds. */
  readonly fromTs?: number | undefined
  readonly untilTs?: number | undefined
  /** Part of the user's ID or name. */
  readonly search?: string | undefined
  readonly orderBy: 'userId' | 'displayName' | 'bytes' | 'files'
  readonly isDescending: boolean
  readonly from: number
  readonly limit: number
}

const ORDERS = { userId: 'm.user_id', displayName: 'display_name', bytes: 'bytes', files: 'files' } as const

/** What the server has as a whole, for administrators. Looks at all that there is. */
export class ServerStatisticsStore {
  /** Those who have uploaded something, page by page, and how many there are. */
  async listMediaUse(
    q: Query,
    query: MediaStatisticsQuery,
  ): Promise<{ users: MediaStatistic[]; total: number }> {
    const { sql, params } = conditionOf(query)
    const from = `FROM media m LEFT JOIN profiles p ON p.user_id = m.user_id WHERE ${sql}`
    const direction = query.isDescending ? 'DESC' : 'ASC'
    const rows = await q.all<{ user_id: string; display_name: string | null; files: number; bytes: number }>(
      `SELECT m.user_id, MAX(p.display_name) AS display_name, COUNT(*) AS files,
         CAST(COALESCE(SUM(m.length), 0) AS BIGINT) AS bytes
       ${from} GROUP BY m.user_id ORDER BY ${ORDERS[query.orderBy]} ${direction}, m.user_id LIMIT ? OFFSET ?`,
      [...params, query.limit, query.from],
    )
    const count = await q.first<{ n: number }>(`SELECT COUNT(DISTINCT m.user_id) AS n ${from}`, params)
    return {
      users: rows.map((row) => ({
        userId: row.user_id as UserId,
        displayName: row.display_name ?? undefined,
        files: row.files,
        bytes: row.bytes,
      })),
      total: count?.n ?? 0,
    }
  }

  /** The servers whose users are in rooms of this one. */
  async listServers(q: Query): Promise<ServerName[]> {
    const rows = await q.all<{ server: string }>(
      `SELECT DISTINCT ${serverSql(q)} AS server FROM room_members m
       WHERE m.membership = 'join' AND m.is_local = 0`,
    )
    return rows.map((row) => row.server as ServerName)
  }

  /** The rooms that users of a server are in, and the position of the last event of each. */
  async listRoomsOfServer(
    q: Query,
    server: ServerName,
  ): Promise<{ roomId: RoomId; streamOrdering: number }[]> {
    const rows = await q.all<{ room_id: string; last: number | null }>(
      `SELECT r.room_id, (SELECT MAX(e.stream_ordering) FROM events e WHERE e.room_nid = r.room_nid) AS last
       FROM rooms r WHERE r.room_nid IN (
         SELECT m.room_nid FROM room_members m
         WHERE ${serverSql(q)} = ? AND m.membership = 'join' AND m.is_local = 0)
       ORDER BY r.room_id`,
      [server],
    )
    return rows.map((row) => ({ roomId: row.room_id as RoomId, streamOrdering: row.last ?? 0 }))
  }
}

function conditionOf({ fromTs, untilTs, search }: MediaStatisticsQuery): { sql: string; params: SqlValue[] } {
  const parts = ['m.user_id IS NOT NULL', 'm.length IS NOT NULL']
  const params: SqlValue[] = []
  if (fromTs !== undefined) {
    parts.push('m.created_ts >= ?')
    params.push(fromTs)
  }
  if (untilTs !== undefined) {
    parts.push('m.created_ts <= ?')
    params.push(untilTs)
  }
  if (search !== undefined) {
    const pattern = `%${search.toLowerCase().replace(/[!%_]/g, '!$&')}%`
    parts.push("(lower(m.user_id) LIKE ? ESCAPE '!' OR lower(p.display_name) LIKE ? ESCAPE '!')")
    params.push(pattern, pattern)
  }
  return { sql: parts.join(' AND '), params }
}

function serverSql(q: Query): string {
  const find = q.dialect.name === 'sqlite' ? 'instr' : 'strpos'
  return `substr(m.user_id, ${find}(m.user_id, ':') + 1)`
}
