import type { Query, Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'
import { groupBy } from '../../util/group-by.js'

export type Membership = 'join' | 'invite' | 'knock' | 'leave' | 'ban'

/** Somebody's current membership of a room. */
export interface MemberRecord {
  readonly roomNid: number
  readonly userId: UserId
  readonly membership: Membership
  readonly eventNid: number
  readonly streamOrdering: number
  readonly sender: UserId
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
  readonly isLocal: boolean
  readonly forgotten: boolean
}

interface Row {
  room_nid: number
  user_id: string
  membership: string
  event_nid: number
  stream_ordering: number
  sender: string
  display_name: string | null
  avatar_url: string | null
  is_local: number
  forgotten: number
}

const COLUMNS = `m.room_nid, m.user_id, m.membership, m.event_nid, m.stream_ordering, m.sender, m.display_name,
  m.avatar_url, m.is_local, m.forgotten`

/** Who is in which room now, whoever ever was in its state. */
export class RoomMembersStore {
  async get(q: Query, roomNid: number, userId: UserId): Promise<MemberRecord | undefined> {
    const row = await q.first<Row>(
      `SELECT ${COLUMNS} FROM room_members m WHERE m.room_nid = ? AND m.user_id = ?`,
      [roomNid, userId],
    )
    return row && toRecord(row)
  }

  /** Several people of one room. */
  async getMany(q: Query, roomNid: number, userIds: readonly string[]): Promise<Map<UserId, MemberRecord>> {
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM room_members m WHERE m.room_nid = ? AND ${q.dialect.anyOf('m.user_id', 'text')}`,
      [roomNid, q.dialect.list(userIds)],
    )
    return new Map(rows.map((row) => [row.user_id as UserId, toRecord(row)]))
  }

  /** The rooms of a user by membership, forgotten ones too. Index room_members_user. */
  async listForUser(q: Query, userId: UserId, memberships: readonly Membership[]): Promise<MemberRecord[]> {
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM room_members m
       WHERE m.user_id = ? AND ${q.dialect.anyOf('m.membership', 'text')}`,
      [userId, q.dialect.list(memberships)],
    )
    return rows.map(toRecord)
  }

  /** The same for several users: by user, where there are any. */
  async listForUsers(
    q: Query,
    userIds: readonly UserId[],
    memberships: readonly Membership[],
  ): Promise<Map<UserId, MemberRecord[]>> {
    if (userIds.length === 0) return new Map()
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM room_members m
       WHERE ${q.dialect.anyOf('m.user_id', 'text')} AND ${q.dialect.anyOf('m.membership', 'text')}`,
      [q.dialect.list(userIds), q.dialect.list(memberships)],
    )
    return groupBy(rows.map(toRecord), ({ userId }) => userId)
  }

  /** The newest room that one user is in and the other has ever been in or invited to. Index room_members_user. */
  async findShared(q: Query, joined: UserId, other: UserId): Promise<MemberRecord | undefined> {
    const row = await q.first<Row>(
      `SELECT ${COLUMNS} FROM room_members m JOIN room_members j ON j.room_nid = m.room_nid
       WHERE m.user_id = ? AND m.membership <> 'ban' AND j.user_id = ? AND j.membership = 'join'
       ORDER BY m.stream_ordering DESC LIMIT 1`,
      [other, joined],
    )
    return row && toRecord(row)
  }

  /** The people of a room by membership, in the order of their user IDs. Index room_members_membership. */
  async listForRoom(
    q: Query,
    roomNid: number,
    memberships: readonly Membership[],
    options: { localOnly?: boolean } = {},
  ): Promise<MemberRecord[]> {
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM room_members m
       WHERE m.room_nid = ? AND ${q.dialect.anyOf('m.membership', 'text')}
       ${options.localOnly ? 'AND m.is_local = 1' : ''} ORDER BY m.user_id`,
      [roomNid, q.dialect.list(memberships)],
    )
    return rows.map(toRecord)
  }

  /** Whether somebody of this server is in the room. Index room_members_membership. */
  async hasLocalMember(q: Query, roomNid: number): Promise<boolean> {
    const row = await q.first(
      `SELECT 1 AS found FROM room_members WHERE room_nid = ? AND membership = 'join' AND is_local = 1 LIMIT 1`,
      [roomNid],
    )
    return row !== undefined
  }

  /** Those of the rooms that somebody of this server is in. Index room_members_membership. */
  async filterResident(q: Query, roomNids: readonly number[]): Promise<Set<number>> {
    if (roomNids.length === 0) return new Set()
    const rows = await q.all<{ room_nid: number }>(
      `SELECT DISTINCT room_nid FROM room_members
       WHERE ${q.dialect.anyOf('room_nid', 'integer')} AND membership = 'join' AND is_local = 1`,
      [q.dialect.list(roomNids)],
    )
    return new Set(rows.map((row) => row.room_nid))
  }

  /** Some people of this server who are in the room. Index room_members_membership. */
  async sampleLocalMembers(q: Query, roomNid: number, limit: number): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>(
      `SELECT user_id FROM room_members WHERE room_nid = ? AND membership = 'join' AND is_local = 1 LIMIT ?`,
      [roomNid, limit],
    )
    return rows.map((row) => row.user_id as UserId)
  }

  /** Some people who are in any of the rooms. Index room_members_membership. */
  async sampleMembers(q: Query, roomNids: readonly number[], limit: number): Promise<UserId[]> {
    if (roomNids.length === 0) return []
    const rows = await q.all<{ user_id: string }>(
      `SELECT user_id FROM room_members
       WHERE ${q.dialect.anyOf('room_nid', 'integer')} AND membership = 'join' LIMIT ?`,
      [q.dialect.list(roomNids), limit],
    )
    return rows.map((row) => row.user_id as UserId)
  }

  /** Guests of this server who are in the room. */
  async listGuests(q: Query, roomNid: number): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>(
      `SELECT m.user_id FROM room_members m JOIN users u ON u.user_id = m.user_id
       WHERE m.room_nid = ? AND m.membership = 'join' AND m.is_local = 1 AND u.is_guest = 1`,
      [roomNid],
    )
    return rows.map((row) => row.user_id as UserId)
  }

  /** Whether somebody is in one of several rooms. By primary key. */
  async isJoinedToAny(q: Query, userId: UserId, roomNids: readonly number[]): Promise<boolean> {
    const row = await q.first(
      `SELECT 1 AS found FROM room_members
       WHERE ${q.dialect.anyOf('room_nid', 'integer')} AND user_id = ? AND membership = 'join' LIMIT 1`,
      [q.dialect.list(roomNids), userId],
    )
    return row !== undefined
  }

  /** Whether the state of any room tells of somebody. Index room_members_user. */
  async isAnywhere(q: Query, userId: UserId): Promise<boolean> {
    return (
      (await q.first('SELECT 1 AS found FROM room_members WHERE user_id = ? LIMIT 1', [userId])) !== undefined
    )
  }

  /**
   * A page of the rooms that two people are both in, after one in the order of room nids, and how many such rooms there
   * are in all. Index room_members_user.
   */
  async listMutualRooms(
    q: Query,
    users: readonly [UserId, UserId],
    page: { readonly after: number; readonly limit: number },
  ): Promise<{ roomNids: number[]; total: number }> {
    const mutual = `FROM room_members x JOIN room_members y ON y.room_nid = x.room_nid
      WHERE x.user_id = ? AND x.membership = 'join' AND y.user_id = ? AND y.membership = 'join'`
    const [rows, counted] = await Promise.all([
      q.all<{ room_nid: number }>(
        `SELECT x.room_nid ${mutual} AND x.room_nid > ? ORDER BY x.room_nid LIMIT ?`,
        [...users, page.after, page.limit],
      ),
      q.first<{ total: number }>(`SELECT COUNT(*) AS total ${mutual}`, users),
    ])
    return { roomNids: rows.map((row) => row.room_nid), total: counted?.total ?? 0 }
  }

  /** Whether two people are in the same room. Index room_members_user. */
  async shareRoom(q: Query, a: UserId, b: UserId): Promise<boolean> {
    const row = await q.first(
      `SELECT 1 AS found FROM room_members x JOIN room_members y ON y.room_nid = x.room_nid
       WHERE x.user_id = ? AND x.membership = 'join' AND y.user_id = ? AND y.membership = 'join' LIMIT 1`,
      [a, b],
    )
    return row !== undefined
  }

  /** Hides a room that the user has left; the next membership brings it back. */
  async setForgotten(tx: Tx, roomNid: number, userId: UserId): Promise<void> {
    await tx.execute('UPDATE room_members SET forgotten = 1 WHERE room_nid = ? AND user_id = ?', [
      roomNid,
      userId,
    ])
  }

  /** The same for everybody of this server who is not in it any more. */
  async setForgottenByAll(tx: Tx, roomNid: number): Promise<void> {
    await tx.execute(
      `UPDATE room_members SET forgotten = 1
       WHERE room_nid = ? AND is_local = 1 AND (membership = 'leave' OR membership = 'ban')`,
      [roomNid],
    )
  }
}

function toRecord(row: Row): MemberRecord {
  return {
    roomNid: row.room_nid,
    userId: row.user_id as UserId,
    membership: row.membership as Membership,
    eventNid: row.event_nid,
    streamOrdering: row.stream_ordering,
    sender: row.sender as UserId,
    displayName: row.display_name ?? undefined,
    avatarUrl: row.avatar_url ?? undefined,
    isLocal: row.is_local === 1,
    forgotten: row.forgotten === 1,
  }
}
