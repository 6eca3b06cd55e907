import type { BulkCache, CacheRegistry } from '../cache-registry.js'
import type { Query } from '../database.js'
import { decodeReach, type AuthChainPosition } from '../auth-reach.js'
import type { EventId } from '../../protocol/ids.js'

/** A leaf of a room's graph: the next event names it as a previous event. */
export interface ForwardExtremity {
  readonly eventNid: number
  readonly eventId: EventId
  readonly depth: number
  /** Snapshot after the event. */
  readonly stateAfter: number
}

interface PositionRow {
  event_nid: number
  chain_nid: number
  seq: number
  reach: Buffer
}

const POSITION_COLUMNS = 'event_nid, chain_nid, seq, reach'

/** How events hang together: extremities, previous events, auth chains. */
export class EventGraphStore {
  readonly #positions: BulkCache<number, AuthChainPosition>

  constructor(caches: CacheRegistry) {
    this.#positions = caches.create({ name: 'auth_chain_positions', max: 50_000 })
  }

  /** The leaves of a room, deepest first. */
  async listForwardExtremities(q: Query, roomNid: number): Promise<ForwardExtremity[]> {
    const rows = await q.all<{ event_nid: number; event_id: string; depth: number; state_after: number }>(
      `SELECT e.event_nid, e.event_id, e.depth, e.state_after
       FROM forward_extremities f JOIN events e ON e.event_nid = f.event_nid
       WHERE f.room_nid = ? ORDER BY e.depth DESC, e.event_nid DESC`,
      [roomNid],
    )
    return rows.map((row) => ({
      eventNid: row.event_nid,
      eventId: row.event_id as EventId,
      depth: row.depth,
      stateAfter: row.state_after,
    }))
  }

  /** The rooms that have more leaves than `threshold`, those with the most first, and how many. */
  async listCrowdedRooms(q: Query, threshold: number, limit: number): Promise<Map<number, number>> {
    const rows = await q.all<{ room_nid: number; ends: number }>(
      `SELECT room_nid, COUNT(*) AS ends FROM forward_extremities GROUP BY room_nid HAVING COUNT(*) > ?
       ORDER BY COUNT(*) DESC LIMIT ?`,
      [threshold, limit],
    )
    return new Map(rows.map((row) => [row.room_nid, row.ends]))
  }

  /** Which of the events are already the previous event of another one that is no outlier. */
  async listReferenced(q: Query, eventNids: readonly number[]): Promise<Set<number>> {
    const rows = await q.all<{ prev_nid: number }>(
      `SELECT DISTINCT d.prev_nid FROM event_edges d JOIN events e ON e.event_nid = d.event_nid
       WHERE ${q.dialect.anyOf('d.prev_nid', 'integer')} AND e.rejected IS NULL AND e.soft_failed = 0
         AND e.stream_ordering IS NOT NULL`,
      [q.dialect.list(eventNids)],
    )
    return new Set(rows.map((row) => row.prev_nid))
  }

  /** Where state events stand in the auth chains; those that are no state events are left out. */
  getAuthPositions(q: Query, eventNids: readonly number[]): Promise<Map<number, AuthChainPosition>> {
    return this.#positions.getMany(eventNids, async (missing) => {
      const rows = await q.all<PositionRow>(
        `SELECT ${POSITION_COLUMNS} FROM auth_chains WHERE ${q.dialect.anyOf('event_nid', 'integer')}`,
        [q.dialect.list(missing)],
      )
      return new Map(rows.map((row) => [row.event_nid, toPosition(row)]))
    })
  }

  /** The last position of each chain. By unique index. */
  async getChainTips(q: Query, chainNids: readonly number[]): Promise<Map<number, number>> {
    const rows = await q.all<{ chain_nid: number; seq: number }>(
      `SELECT chain_nid, MAX(seq) AS seq FROM auth_chains WHERE ${q.dialect.anyOf('chain_nid', 'integer')}
       GROUP BY chain_nid`,
      [q.dialect.list(chainNids)],
    )
    return new Map(rows.map((row) => [row.chain_nid, row.seq]))
  }

  /**
   * The events of ranges of chains (first < seq <= last), with their positions: what the auth difference and the
   * conflicted subgraph consist of. Never walks the graph.
   */
  async listChainRanges(
    q: Query,
    ranges: readonly { chainNid: number; first: number; last: number }[],
  ): Promise<Map<number, AuthChainPosition>> {
    const rows = await q.all<PositionRow>(
      `SELECT a.event_nid, a.chain_nid, a.seq, a.reach
       FROM ${q.dialect.rowsFrom({ chain_nid: 'integer', low: 'integer', high: 'integer' })} AS r
       JOIN auth_chains a ON a.chain_nid = r.chain_nid AND a.seq > r.low AND a.seq <= r.high`,
      [
        q.dialect.rows(
          ranges.map(({ chainNid, first, last }) => ({ chain_nid: chainNid, low: first, high: last })),
        ),
      ],
    )
    return new Map(rows.map((row) => [row.event_nid, toPosition(row)]))
  }

  /** Makes a position known before its row is committed. */
  remember(eventNid: number, position: AuthChainPosition): void {
    this.#positions.set(eventNid, position)
  }

  forget(eventNid: number): void {
    this.#positions.delete(eventNid)
  }
}

function toPosition(row: PositionRow): AuthChainPosition {
  return { chainNid: row.chain_nid, seq: row.seq, reach: decodeReach(row.reach) }
}
