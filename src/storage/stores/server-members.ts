import type { Query } from '../database.js'
import type { ServerName, UserId } from '../../protocol/ids.js'

/** The users of other servers in rooms, by server. */
export class ServerMembersStore {
  /** Whether somebody of a server is in the room. Index room_members_server. */
  async isInRoom(q: Query, roomNid: number, server: ServerName): Promise<boolean> {
    const row = await q.first(
      `SELECT 1 AS found FROM room_members m
       WHERE m.room_nid = ? AND ${serverSql(q)} = ? AND m.membership = 'join' LIMIT 1`,
      [roomNid, server],
    )
    return row !== undefined
  }

  /**
   * Those of a server of whom the state of the room ever told, the ones first who are in the room now. Index
   * room_members_server.
   */
  async listUsers(q: Query, roomNid: number, server: ServerName, limit: number): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>(
      `SELECT m.user_id FROM room_members m WHERE m.room_nid = ? AND ${serverSql(q)} = ?
       ORDER BY CASE WHEN m.membership = 'join' THEN 0 ELSE 1 END, m.user_id LIMIT ?`,
      [roomNid, server, limit],
    )
    return rows.map((row) => row.user_id as UserId)
  }

  /** The servers whose users are in the room, those with the most of them first. */
  async listServers(q: Query, roomNid: number, limit: number): Promise<ServerName[]> {
    const rows = await q.all<{ server: string }>(
      `SELECT ${serverSql(q)} AS server FROM room_members m
       WHERE m.room_nid = ? AND m.membership = 'join' AND m.is_local = 0
       GROUP BY ${serverSql(q)} ORDER BY COUNT(*) DESC, MIN(m.stream_ordering) LIMIT ?`,
      [roomNid, limit],
    )
    return rows.map((row) => row.server as ServerName)
  }
}

/** As the index has it. */
function serverSql(q: Query): string {
  const find = q.dialect.name === 'sqlite' ? 'instr' : 'strpos'
  return `substr(m.user_id, ${find}(m.user_id, ':') + 1)`
}
