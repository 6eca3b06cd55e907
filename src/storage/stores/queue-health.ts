import type { Query } from '../database.js'

/** An application service that does not take what it is sent. */
export interface FailingAppservice {
  readonly id: string
  readonly failingSinceTs: number
  readonly lastError: string
}

/** Events that have come and have yet to be judged. */
export interface InboundBacklog {
  readonly events: number
  readonly rooms: number
  readonly oldestTs: number
}

/** A room that was joined and whose state has not come yet. */
export interface UnfinishedJoin {
  readonly roomId: string
  readonly joinedTs: number
}

/** How much comes in and goes out, for reports. */
export class QueueHealthStore {
  /** How many other servers' keys are known: with so many this server has had to do. */
  async countKnownServers(q: Query): Promise<number> {
    const row = await q.first<{ n: number }>('SELECT COUNT(DISTINCT server_name) AS n FROM server_keys')
    return row?.n ?? 0
  }

  /** What other servers have sent before a time and nothing has become of; undefined where there is none. */
  async inboundBefore(q: Query, ts: number): Promise<InboundBacklog | undefined> {
    const row = await q.first<{ events: number; rooms: number; oldest: number | null }>(
      `SELECT COUNT(*) AS events, COUNT(DISTINCT room_nid) AS rooms, MIN(received_ts) AS oldest
       FROM federation_inbox WHERE received_ts < ?`,
      [ts],
    )
    if (row?.oldest === undefined || row.oldest === null) return undefined
    return { events: row.events, rooms: row.rooms, oldestTs: row.oldest }
  }

  /** Rooms that were joined before a time and are still incomplete, oldest first. */
  async listUnfinishedJoins(q: Query, before: number, limit: number): Promise<UnfinishedJoin[]> {
    const rows = await q.all<{ room_id: string; joined_ts: number }>(
      `SELECT r.room_id, p.joined_ts FROM partial_state_rooms p JOIN rooms r ON r.room_nid = p.room_nid
       WHERE p.joined_ts < ? ORDER BY p.joined_ts LIMIT ?`,
      [before, limit],
    )
    return rows.map(({ room_id: roomId, joined_ts: joinedTs }) => ({ roomId, joinedTs }))
  }

  /** Those that have failed longest first. */
  async listFailingAppservices(q: Query, limit: number): Promise<FailingAppservice[]> {
    const rows = await q.all<{ id: string; since: number; error: string | null }>(
      `SELECT appservice_id AS id, failing_since_ts AS since, last_error AS error FROM appservice_state
       WHERE failing_since_ts IS NOT NULL ORDER BY failing_since_ts LIMIT ?`,
      [limit],
    )
    return rows.map(({ id, since, error }) => ({ id, failingSinceTs: since, lastError: error ?? 'unknown' }))
  }
}
