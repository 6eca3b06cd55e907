import type { Query } from '../database.js'
import { readFirstMembers, type FirstMembersOf } from '../first-members.js'
import type { UserId } from '../../protocol/ids.js'
import { pushTo } from '../../util/group-by.js'

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

  /** Of each room, the first in the order of their member events. Rooms with nobody to name are left out. */
  async listHeroes(q: Query, of: FirstMembersOf): Promise<Map<number, UserId[]>> {
    const rows = await readFirstMembers<{ room_nid: number; user_id: string }>(q, of, ['user_id'])
    const heroes = new Map<number, UserId[]>()
    for (const row of rows) pushTo(heroes, row.room_nid, row.user_id as UserId)
    return heroes
  }
}
