import type { Query } from '../database.js'
import type { UserId } from '../../protocol/ids.js'

/** Who is in rooms together. */
export class SharedRoomsStore {
  /** Who of these is joined to a room that the user is joined to. Index room_members_user. */
  async listSharing(q: Query, userId: UserId, others: readonly UserId[]): Promise<Set<UserId>> {
    if (others.length === 0) return new Set()
    const rows = await q.all<{ user_id: string }>(
      `SELECT w.user_id FROM ${q.dialect.rowsFrom({ user_id: 'text' })} AS w WHERE ${sharing('w.user_id')}`,
      [q.dialect.rows(others.map((other) => ({ user_id: other }))), userId],
    )
    return new Set(rows.map((row) => row.user_id as UserId))
  }

  /**
   * The user, and those who share a room with them, whose devices have changed after one position of the stream up to
   * and including another. Indexes device_list_changes_stream, room_members_user.
   */
  async listDeviceListChanges(
    q: Query,
    userId: UserId,
    range: { after: number; upTo: number },
  ): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>(
      `SELECT w.user_id FROM (SELECT DISTINCT c.user_id FROM device_list_changes c
         WHERE c.stream_id > ? AND c.stream_id <= ?) AS w
       WHERE w.user_id = ? OR ${sharing('w.user_id')} ORDER BY w.user_id`,
      [range.after, range.upTo, userId, userId],
    )
    return rows.map((row) => row.user_id as UserId)
  }

  /** Everybody joined to one of these rooms. Index room_members_membership. */
  async listJoined(q: Query, roomNids: readonly number[]): Promise<UserId[]> {
    if (roomNids.length === 0) return []
    const rows = await q.all<{ user_id: string }>(
      `SELECT DISTINCT m.user_id FROM room_members m
       WHERE ${q.dialect.anyOf('m.room_nid', 'integer')} AND m.membership = 'join'`,
      [q.dialect.list(roomNids)],
    )
    return rows.map((row) => row.user_id as UserId)
  }
}

/** One parameter: the user. */
function sharing(column: string): string {
  return `EXISTS (SELECT 1 FROM room_members o
    JOIN room_members m ON m.room_nid = o.room_nid AND m.user_id = ? AND m.membership = 'join'
    WHERE o.user_id = ${column} AND o.membership = 'join')`
}
