import type { Query } from '../database.js'
import type { UserId } from '../../protocol/ids.js'

/** The last time that a local user was in a room. */
export interface RoomStay {
  /** The position of the last event that made or kept them a member. */
  readonly joinedAt: number
  /** What ended it; undefined while they are in the room. */
  readonly end: { readonly streamOrdering: number; readonly eventNid: number } | undefined
}

interface Row {
  room_nid: number
  joined_at: number
  end_stream: number | null
  end_nid: number | null
}

/** When local users were in rooms, as far as it matters for what they may read. */
export class RoomStaysStore {
  /** Of those rooms that the user was ever in. By primary key. */
  async listLast(q: Query, userId: UserId, roomNids: readonly number[]): Promise<Map<number, RoomStay>> {
    if (roomNids.length === 0) return new Map()
    const rows = await q.all<Row>(
      `SELECT j.room_nid, j.joined_at, l.stream_ordering AS end_stream, l.event_nid AS end_nid
       FROM (SELECT m.room_nid, MAX(m.stream_ordering) AS joined_at FROM local_memberships m
             WHERE ${q.dialect.anyOf('m.room_nid', 'integer')} AND m.user_id = ? AND m.membership = 'join'
             GROUP BY m.room_nid) AS j
       LEFT JOIN local_memberships l ON l.user_id = ? AND l.room_nid = j.room_nid AND l.stream_ordering =
         (SELECT MIN(n.stream_ordering) FROM local_memberships n
          WHERE n.user_id = ? AND n.room_nid = j.room_nid AND n.stream_ordering > j.joined_at)`,
      [q.dialect.list(roomNids), userId, userId, userId],
    )
    return new Map(rows.map((row) => [row.room_nid, toStay(row)]))
  }
}

function toStay(row: Row): RoomStay {
  const { joined_at: joinedAt, end_stream: streamOrdering, end_nid: eventNid } = row
  if (streamOrdering === null || eventNid === null) return { joinedAt, end: undefined }
  return { joinedAt, end: { streamOrdering, eventNid } }
}
