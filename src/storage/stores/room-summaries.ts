import type { Query } from '../database.js'
import type { UserId } from '../../protocol/ids.js'

/** How many people are in a room. */
export interface MemberCounts {
  readonly joined: number
  readonly invited: number
}

/** What clients make up the name of a room from. */
export class RoomSummariesStore {
  /** By primary key. */
  async getCounts(q: Query, roomNids: readonly number[]): Promise<Map<number, MemberCounts>> {
    if (roomNids.length === 0) return new Map()
    const rows = await q.all<{ room_nid: number; joined_members: number; invited_members: number }>(
      `SELECT room_nid, joined_members, invited_members FROM rooms
       WHERE ${q.dialect.anyOf('room_nid', 'integer')}`,
      [q.dialect.list(roomNids)],
    )
    return new Map(
      rows.map((row) => [row.room_nid, { joined: row.joined_members, invited: row.invited_members }]),
    )
  }

  /**
   * The first `limit` people of each room with one of these memberships, without the user, in the order of their
   * member events. Index room_members_membership.
   */
  async listHeroes(
    q: Query,
    userId: UserId,
    {
      roomNids,
      memberships,
      limit,
    }: { roomNids: readonly number[]; memberships: readonly string[]; limit: number },
  ): Promise<Map<number, UserId[]>> {
    if (roomNids.length === 0) return new Map()
    const rows = await q.all<{ room_nid: number; user_id: string }>(
      `SELECT h.room_nid, h.user_id FROM (
         SELECT m.room_nid, m.user_id,
           ROW_NUMBER() OVER (PARTITION BY m.room_nid ORDER BY m.stream_ordering, m.user_id) AS place
         FROM room_members m
         WHERE ${q.dialect.anyOf('m.room_nid', 'integer')} AND ${q.dialect.anyOf('m.membership', 'text')}
           AND m.user_id <> ?) AS h
       WHERE h.place <= ? ORDER BY h.room_nid, h.place`,
      [q.dialect.list(roomNids), q.dialect.list(memberships), userId, limit],
    )
    const heroes = new Map<number, UserId[]>()
    for (const row of rows) {
      const room = heroes.get(row.room_nid)
      if (room === undefined) heroes.set(row.room_nid, [row.user_id as UserId])
      else room.push(row.user_id as UserId)
    }
    return heroes
  }
}
