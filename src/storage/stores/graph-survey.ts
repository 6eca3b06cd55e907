import type { EventId } from '../../protocol/ids.js'
import { encodeReach, type AuthChainPosition } from '../auth-reach.js'
import type { Query, Tx } from '../database.js'

/** An event of a room, as far as its place in the graph is concerned. */
export interface GraphRecord {
  readonly eventNid: number
  /** It has a place in the timeline: it is no outlier. */
  readonly isPlaced: boolean
  readonly isState: boolean
  /** It is part of the current state of a room that this server is in. */
  readonly isCurrent: boolean
}

/** That one event follows another. */
export interface Edge {
  readonly prevNid: number
  readonly eventNid: number
}

/** How the events of a room hang together, as a whole: as it is written, whatever is in memory. */
export class GraphSurveyStore {
  /** All events of a room. Index events_room_stream. */
  async listEvents(q: Query, roomNid: number): Promise<GraphRecord[]> {
    const rows = await q.all<{ event_nid: number; is_placed: number; is_state: number; is_current: number }>(
      `SELECT e.event_nid, CASE WHEN e.stream_ordering IS NULL THEN 0 ELSE 1 END AS is_placed,
         CASE WHEN e.state_key IS NULL THEN 0 ELSE 1 END AS is_state,
         CASE WHEN s.event_nid IS NOT NULL AND EXISTS (SELECT 1 FROM room_members m
           WHERE m.room_nid = e.room_nid AND m.is_local = 1 AND m.membership = 'join') THEN 1 ELSE 0 END
           AS is_current
       FROM events e LEFT JOIN current_state s ON s.room_nid = e.room_nid AND s.type = e.type
         AND s.state_key = e.state_key AND s.event_nid = e.event_nid
       WHERE e.room_nid = ? ORDER BY e.event_nid`,
      [roomNid],
    )
    return rows.map((row) => ({
      eventNid: row.event_nid,
      isPlaced: row.is_placed === 1,
      isState: row.is_state === 1,
      isCurrent: row.is_current === 1,
    }))
  }

  /** The nids of those events that are held. By unique index. */
  async listHeld(q: Query, ids: readonly EventId[]): Promise<Map<EventId, number>> {
    const rows = await q.all<{ event_id: string; event_nid: number }>(
      `SELECT event_id, event_nid FROM events WHERE ${q.dialect.anyOf('event_id', 'text')}`,
      [q.dialect.list(ids)],
    )
    return new Map(rows.map((row) => [row.event_id as EventId, row.event_nid]))
  }

  /** Those events that have a place in the auth chains. By primary key. */
  async listPositioned(q: Query, eventNids: readonly number[]): Promise<Set<number>> {
    const rows = await q.all<{ event_nid: number }>(
      `SELECT event_nid FROM auth_chains WHERE ${q.dialect.anyOf('event_nid', 'integer')}`,
      [q.dialect.list(eventNids)],
    )
    return new Set(rows.map((row) => row.event_nid))
  }

  /** What follows events. By primary key prefix. */
  async listFollowing(q: Query, prevNids: readonly number[]): Promise<Edge[]> {
    const rows = await q.all<{ prev_nid: number; event_nid: number }>(
      `SELECT prev_nid, event_nid FROM event_edges WHERE ${q.dialect.anyOf('prev_nid', 'integer')}`,
      [q.dialect.list(prevNids)],
    )
    return rows.map((row) => ({ prevNid: row.prev_nid, eventNid: row.event_nid }))
  }

  async insertEdges(tx: Tx, edges: readonly Edge[]): Promise<void> {
    await tx.insertMany(
      'event_edges',
      edges.map(({ prevNid, eventNid }) => ({ prev_nid: prevNid, event_nid: eventNid })),
      { columns: { prev_nid: 'integer', event_nid: 'integer' }, conflict: 'ignore' },
    )
  }

  /** Writes where the state events of a room stand in the auth chains, in the place of all that was known. */
  async replacePositions(
    tx: Tx,
    roomNid: number,
    positions: ReadonlyMap<number, AuthChainPosition>,
  ): Promise<void> {
    await tx.execute(
      'DELETE FROM auth_chains WHERE event_nid IN (SELECT event_nid FROM events WHERE room_nid = ?)',
      [roomNid],
    )
    const rows = [...positions].map(([eventNid, { chainNid, seq, reach }]) => ({
      event_nid: eventNid,
      chain_nid: chainNid,
      seq,
      reach: encodeReach(reach),
    }))
    for (let start = 0; start < rows.length; start += BATCH) {
      await tx.insertMany('auth_chains', rows.slice(start, start + BATCH), {
        columns: { event_nid: 'integer', chain_nid: 'integer', seq: 'integer', reach: 'blob' },
      })
    }
  }
}

const BATCH = 5_000
