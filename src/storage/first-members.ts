import type { Query, SqlValue } from './database.js'
import type { UserId } from '../protocol/ids.js'

/** Whose first members are wanted: for each room, those with one of these memberships, but not this user. */
export interface FirstMembersOf {
  readonly roomNids: readonly number[]
  readonly memberships: readonly string[]
  readonly except: UserId | undefined
  /** How many of each room at most. */
  readonly limit: number
  /** Those with the membership that is named first come first, whenever that was. */
  readonly byMembership?: boolean
}

/**
 * The first members of rooms in the order of their member events: as many look-ups in the index room_members_order as
 * rooms and memberships, however many members there are. Rows come by room, the first first.
 * @param columns columns of room_members
 */
export async function readFirstMembers<T>(
  q: Query,
  { roomNids, memberships, except, limit, byMembership = false }: FirstMembersOf,
  columns: readonly string[],
): Promise<T[]> {
  if (roomNids.length === 0) return []
  const groups = roomNids.flatMap((roomNid) =>
    memberships.map((membership, index) => ({
      room_nid: roomNid,
      membership,
      turn: byMembership ? index : 0,
    })),
  )
  const params: SqlValue[] = [q.dialect.rows(groups), except ?? '', limit, limit]
  return q.all<T>(
    `SELECT h.room_nid, ${columns.map((column) => `h.${column}`).join(', ')} FROM (
       SELECT m.*, ROW_NUMBER() OVER (
         PARTITION BY m.room_nid ORDER BY g.turn, m.stream_ordering, m.user_id) AS place
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer', membership: 'text', turn: 'integer' })} AS g ${joinFirst(q)}) AS h
     WHERE h.place <= ? ORDER BY h.room_nid, h.place`,
    params,
  )
}

/** Joins each group `g` with its first rows `m`. Placeholders: whom to leave out, how many. */
function joinFirst(q: Query): string {
  const first = (columns: string): string =>
    `SELECT ${columns} FROM room_members i
     WHERE i.room_nid = g.room_nid AND i.membership = g.membership AND i.user_id <> ?
     ORDER BY i.stream_ordering, i.user_id LIMIT ?`
  // SQLite has no LATERAL, but takes a list of keys that depends on the group.
  return q.dialect.name === 'postgres'
    ? `CROSS JOIN LATERAL (${first('*')}) AS m`
    : `CROSS JOIN room_members m ON m.room_nid = g.room_nid AND m.user_id IN (${first('i.user_id')})`
}
