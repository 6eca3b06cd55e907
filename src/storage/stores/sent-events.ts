import type { EventId } from '../../protocol/ids.js'
import type { Query } from '../database.js'

/** Which events of somebody are meant. */
export interface SentEventsSelection {
  /** When they were received, in milliseconds. */
  readonly after: number
  readonly before: number
  readonly limit: number
}

/** What single users have sent. */
export class SentEventsStore {
  /**
   * What a user has said in a room, and what they were called there, as far as it can still be redacted: the newest
   * first. Index events_room_stream: looks at all events of the room that are newer than the last of them.
   */
  async listRedactable(
    q: Query,
    roomNid: number,
    userId: string,
    { after, before, limit }: SentEventsSelection,
  ): Promise<EventId[]> {
    const rows = await q.all<{ event_id: string }>(
      `SELECT event_id FROM events
       WHERE room_nid = ? AND stream_ordering IS NOT NULL AND sender = ? AND received_ts > ? AND received_ts < ?
         AND (state_key IS NULL OR type = 'm.room.member') AND type <> 'm.room.redaction'
         AND redacted_by IS NULL AND rejected IS NULL
       ORDER BY stream_ordering DESC LIMIT ?`,
      [roomNid, userId, after, before, limit],
    )
    return rows.map((row) => row.event_id as EventId)
  }
}
