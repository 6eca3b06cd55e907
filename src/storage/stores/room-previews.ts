import type { Query } from '../database.js'
import type { ServerName, UserId } from '../../protocol/ids.js'
import type { Membership } from './room-members.js'
import { usersOfPattern } from './room-servers.js'

/** Who is in a room. */
export interface RoomSize {
  readonly joinedMembers: number
  /** Somebody of this server has joined: it knows the state of the room. */
  readonly isHere: boolean
}

/** What previews of many rooms need; each a single statement. */
export class RoomPreviewsStore {
  /** By nid. Index room_members_membership. */
  async listSizes(q: Query, roomNids: readonly number[]): Promise<Map<number, RoomSize>> {
    const rows = await q.all<{ room_nid: number; joined_members: number; is_here: number }>(
      `SELECT r.room_nid, r.joined_members, CASE WHEN EXISTS (
         SELECT 1 FROM room_members m WHERE m.room_nid = r.room_nid AND m.membership = 'join' AND m.is_local = 1
       ) THEN 1 ELSE 0 END AS is_here
       FROM rooms r WHERE ${q.dialect.anyOf('r.room_nid', 'integer')}`,
      [q.dialect.list(roomNids)],
    )
    return new Map(
      rows.map((row) => [row.room_nid, { joinedMembers: row.joined_members, isHere: row.is_here === 1 }]),
    )
  }

  /** What a user is to each of these rooms; by nid, without those that they have never been anything to. */
  async listMemberships(
    q: Query,
    userId: UserId,
    roomNids: readonly number[],
  ): Promise<Map<number, Membership>> {
    const rows = await q.all<{ room_nid: number; membership: string }>(
      `SELECT room_nid, membership FROM room_members
       WHERE ${q.dialect.anyOf('room_nid', 'integer')} AND user_id = ?`,
      [q.dialect.list(roomNids), userId],
    )
    return new Map(rows.map((row) => [row.room_nid, row.membership as Membership]))
  }

  /**
   * What the users of another server are to each of these rooms, at best: `join` before `invite`; by nid, without the
   * others. Index room_members_membership.
   */
  async listServerMemberships(
    q: Query,
    server: ServerName,
    roomNids: readonly number[],
  ): Promise<Map<number, Membership>> {
    const rows = await q.all<{ room_nid: number; membership: string }>(
      `SELECT DISTINCT room_nid, membership FROM room_members
       WHERE ${q.dialect.anyOf('room_nid', 'integer')} AND membership IN ('join', 'invite') AND is_local = 0
         AND user_id LIKE ? ESCAPE '!' ORDER BY membership`,
      [q.dialect.list(roomNids), usersOfPattern(server)],
    )
    return new Map(rows.map((row) => [row.room_nid, row.membership as Membership]))
  }

  /** The nids of the `m.space.child` events that are the state of these rooms; `limit` at most. By primary key prefix. */
  async listSpaceChildren(q: Query, roomNids: readonly number[], limit: number): Promise<number[]> {
    const rows = await q.all<{ event_nid: number }>(
      `SELECT event_nid FROM current_state
       WHERE ${q.dialect.anyOf('room_nid', 'integer')} AND type = 'm.space.child'
       ORDER BY room_nid, state_key LIMIT ?`,
      [q.dialect.list(roomNids), limit],
    )
    return rows.map((row) => row.event_nid)
  }
}
