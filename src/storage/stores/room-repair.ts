import type { EventId } from '../../protocol/ids.js'
import type { Query, Tx } from '../database.js'

/** An event of a room's graph, by both its names. */
export interface GraphEvent {
  readonly eventNid: number
  readonly eventId: EventId
}

/** Somebody whose row does not say what the current state says. */
export interface WrongMember {
  readonly userId: string
  /** What holds their membership in the current state; undefined: nothing does. */
  readonly eventNid: number | undefined
}

interface EventRow {
  event_nid: number
  event_id: string
}

/** Counts of members, as they stand in the room's row and as they are. */
export interface MemberCountCheck {
  readonly joined: number
  readonly invited: number
  readonly trueJoined: number
  readonly trueInvited: number
}

/** What hides behind: an event that counts in the graph is accepted, not soft-failed, and has a place in the timeline. */
const COUNTS = (alias: string): string =>
  `${alias}.rejected IS NULL AND ${alias}.soft_failed = 0 AND ${alias}.stream_ordering IS NOT NULL`

/** Looks for rows about rooms that contradict each other, and corrects them. */
export class RoomRepairStore {
  /** Leaves that are none: an event that counts follows them. */
  async listFollowedEnds(q: Query, roomNid: number): Promise<GraphEvent[]> {
    return toEvents(
      await q.all<EventRow>(
        `SELECT e.event_nid, e.event_id FROM forward_extremities f JOIN events e ON e.event_nid = f.event_nid
         WHERE f.room_nid = ? AND EXISTS (
           SELECT 1 FROM event_edges d JOIN events c ON c.event_nid = d.event_nid
           WHERE d.prev_nid = f.event_nid AND ${COUNTS('c')})
         ORDER BY e.event_nid`,
        [roomNid],
      ),
    )
  }

  /** Leaves that cannot be any: the event is not held, does not count, or has no state after it. */
  async listBrokenEnds(
    q: Query,
    roomNid: number,
  ): Promise<{ eventNid: number; eventId: EventId | undefined }[]> {
    const rows = await q.all<{ event_nid: number; event_id: string | null }>(
      `SELECT f.event_nid, e.event_id FROM forward_extremities f
       LEFT JOIN events e ON e.event_nid = f.event_nid AND e.room_nid = f.room_nid
       WHERE f.room_nid = ? AND (e.event_nid IS NULL OR e.state_after IS NULL OR NOT (${COUNTS('e')}))
       ORDER BY f.event_nid`,
      [roomNid],
    )
    return rows.map((row) => ({
      eventNid: row.event_nid,
      eventId: (row.event_id ?? undefined) as EventId | undefined,
    }))
  }

  /**
   * Events that count, that nothing which counts follows, and that are no leaves in the table; those alone that came
   * after this server last came into the room by an event whose own past it does not have: what it knows from an
   * earlier stay leads nowhere any more. Reads the room's events.
   */
  async listLostEnds(q: Query, roomNid: number): Promise<GraphEvent[]> {
    return toEvents(
      await q.all<EventRow>(
        `SELECT e.event_nid, e.event_id FROM events e
         WHERE e.room_nid = ? AND ${COUNTS('e')} AND e.state_after IS NOT NULL
           AND e.stream_ordering > 0 AND e.stream_ordering >= (
             SELECT COALESCE(MAX(b.stream_ordering), 0) FROM events b
             WHERE b.room_nid = ? AND b.stream_ordering > 0 AND ${COUNTS('b')} AND NOT EXISTS (
               SELECT 1 FROM event_edges d JOIN events p ON p.event_nid = d.prev_nid
               WHERE d.event_nid = b.event_nid AND p.stream_ordering IS NOT NULL))
           AND NOT EXISTS (SELECT 1 FROM event_edges d JOIN events c ON c.event_nid = d.event_nid
             WHERE d.prev_nid = e.event_nid AND ${COUNTS('c')})
           AND NOT EXISTS (SELECT 1 FROM forward_extremities f
             WHERE f.room_nid = e.room_nid AND f.event_nid = e.event_nid)
         ORDER BY e.event_nid`,
        [roomNid, roomNid],
      ),
    )
  }

  /** Whose row in the table of members says something else than the current state. */
  async listWrongMembers(q: Query, roomNid: number): Promise<WrongMember[]> {
    const rows = await q.all<{ user_id: string; event_nid: number | null }>(
      `SELECT s.state_key AS user_id, s.event_nid FROM current_state s
       LEFT JOIN room_members m ON m.room_nid = s.room_nid AND m.user_id = s.state_key
       WHERE s.room_nid = ? AND s.type = 'm.room.member' AND (m.event_nid IS NULL OR m.event_nid <> s.event_nid)
       UNION ALL
       SELECT m.user_id, NULL FROM room_members m
       LEFT JOIN current_state s
         ON s.room_nid = m.room_nid AND s.type = 'm.room.member' AND s.state_key = m.user_id
       WHERE m.room_nid = ? AND m.membership <> 'leave' AND s.event_nid IS NULL
       ORDER BY 1`,
      [roomNid, roomNid],
    )
    return rows.map((row) => ({ userId: row.user_id, eventNid: row.event_nid ?? undefined }))
  }

  async checkCounts(q: Query, roomNid: number): Promise<MemberCountCheck> {
    const row = await q.first<{
      joined_members: number
      invited_members: number
      true_joined: number
      true_invited: number
    }>(
      `SELECT joined_members, invited_members,
         (SELECT COUNT(*) FROM room_members m WHERE m.room_nid = r.room_nid AND m.membership = 'join')
           AS true_joined,
         (SELECT COUNT(*) FROM room_members m WHERE m.room_nid = r.room_nid AND m.membership = 'invite')
           AS true_invited
       FROM rooms r WHERE room_nid = ?`,
      [roomNid],
    )
    return {
      joined: row?.joined_members ?? 0,
      invited: row?.invited_members ?? 0,
      trueJoined: row?.true_joined ?? 0,
      trueInvited: row?.true_invited ?? 0,
    }
  }

  async removeEnds(tx: Tx, roomNid: number, eventNids: readonly number[]): Promise<void> {
    await tx.execute(
      `DELETE FROM forward_extremities WHERE room_nid = ? AND ${tx.dialect.anyOf('event_nid', 'integer')}`,
      [roomNid, tx.dialect.list(eventNids)],
    )
  }

  async addEnds(tx: Tx, roomNid: number, eventNids: readonly number[]): Promise<void> {
    await tx.insertMany(
      'forward_extremities',
      eventNids.map((eventNid) => ({ room_nid: roomNid, event_nid: eventNid })),
      { columns: { room_nid: 'integer', event_nid: 'integer' }, conflict: 'ignore' },
    )
  }

  /** Writes the counts of members anew, from the table of members. */
  async recount(tx: Tx, roomNid: number): Promise<void> {
    await tx.execute(
      `UPDATE rooms SET
         joined_members = (SELECT COUNT(*) FROM room_members m
           WHERE m.room_nid = rooms.room_nid AND m.membership = 'join'),
         invited_members = (SELECT COUNT(*) FROM room_members m
           WHERE m.room_nid = rooms.room_nid AND m.membership = 'invite')
       WHERE room_nid = ?`,
      [roomNid],
    )
  }
}

function toEvents(rows: readonly EventRow[]): GraphEvent[] {
  return rows.map((row) => ({ eventNid: row.event_nid, eventId: row.event_id as EventId }))
}
