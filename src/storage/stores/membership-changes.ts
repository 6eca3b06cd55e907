import type { Query } from '../database.js'
import type { UserId } from '../../protocol/ids.js'
import type { Membership } from './room-members.js'

/** A membership that a local user has or had, and since which position of the events stream. */
export interface MembershipChange {
  readonly roomNid: number
  readonly membership: Membership
  readonly eventNid: number
  readonly streamOrdering: number
}

interface Row {
  room_nid: number
  membership: string
  event_nid: number
  stream_ordering: number
}

const COLUMNS = 'l.room_nid, l.membership, l.event_nid, l.stream_ordering'

/** The history of local users' memberships, in stream order. */
export class MembershipChangesStore {
  /** The changes after one position, up to and including another. By primary key prefix. */
  async listForUser(
    q: Query,
    userId: UserId,
    range: { after: number; upTo: number },
  ): Promise<MembershipChange[]> {
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM local_memberships l
       WHERE l.user_id = ? AND l.stream_ordering > ? AND l.stream_ordering <= ? ORDER BY l.stream_ordering`,
      [userId, range.after, range.upTo],
    )
    return rows.map(toChange)
  }

  /** The same for several users, each in their own range; in their order. */
  async listForUsers(
    q: Query,
    users: readonly { readonly userId: UserId; readonly after: number; readonly upTo: number }[],
  ): Promise<MembershipChange[][]> {
    const changes = users.map((): MembershipChange[] => [])
    if (users.length === 0) return changes
    const source = q.dialect.rowsFrom({
      asked: 'integer',
      user_id: 'text',
      after: 'integer',
      up_to: 'integer',
    })
    const rows = await q.all<Row & { asked: number }>(
      `SELECT r.asked, ${COLUMNS} FROM ${source} AS r CROSS JOIN local_memberships l
       WHERE l.user_id = r.user_id AND l.stream_ordering > r.after AND l.stream_ordering <= r.up_to
       ORDER BY r.asked, l.stream_ordering`,
      [
        q.dialect.rows(
          users.map(({ userId, after, upTo }, asked) => ({ asked, user_id: userId, after, up_to: upTo })),
        ),
      ],
    )
    for (const row of rows) changes[row.asked]?.push(toChange(row))
    return changes
  }

  /**
   * The memberships that the user had in rooms at a position of each; nothing for rooms they had none in. By
   * primary key.
   */
  async listAt(
    q: Query,
    userId: UserId,
    rooms: readonly { readonly roomNid: number; readonly position: number }[],
  ): Promise<Map<number, MembershipChange>> {
    if (rooms.length === 0) return new Map()
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS}
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer', position: 'integer' })} AS r
         CROSS JOIN local_memberships l
       WHERE l.user_id = ? AND l.room_nid = r.room_nid AND l.stream_ordering = (
         SELECT MAX(m.stream_ordering) FROM local_memberships m
         WHERE m.room_nid = r.room_nid AND m.user_id = ? AND m.stream_ordering <= r.position)`,
      [
        q.dialect.rows(rooms.map(({ roomNid, position }) => ({ room_nid: roomNid, position }))),
        userId,
        userId,
      ],
    )
    return new Map(rows.map((row) => [row.room_nid, toChange(row)]))
  }
}

function toChange(row: Row): MembershipChange {
  return {
    roomNid: row.room_nid,
    membership: row.membership as Membership,
    eventNid: row.event_nid,
    streamOrdering: row.stream_ordering,
  }
}
