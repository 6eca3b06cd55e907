import type { EventId } from '../../protocol/ids.js'
import type { Query, Tx } from '../database.js'

/** A snapshot as it stands in its row. */
export interface SnapshotRecord {
  readonly snapshotNid: number
  readonly baseNid: number | undefined
  readonly hash: string
  readonly delta: Buffer
}

/** An event of the timeline that names a state which cannot be used, or none. */
export interface StatelessEvent {
  readonly eventNid: number
  readonly eventId: EventId
  readonly depth: number
  readonly stateBefore: number | null
  readonly stateAfter: number | null
  /** An accepted state event: the state after it is another than that before it. */
  readonly changesState: boolean
}

/** Who refers to a snapshot: how many events, and the first of them. */
export interface SnapshotUse {
  readonly events: number
  readonly first: EventId
}

/** Where an event stands that others name as a previous one. */
export interface EventPlace {
  readonly eventNid: number
  readonly streamOrdering: number | null
  readonly stateAfter: number | null
}

const PLACED = 'e.room_nid = ? AND e.stream_ordering IS NOT NULL'

/** Which states of a room there are and who refers to them; moves events from one snapshot to another. */
export class StateSurveyStore {
  /** All snapshots of a room. By unique index. */
  async listSnapshots(q: Query, roomNid: number): Promise<SnapshotRecord[]> {
    const rows = await q.all<{ snapshot_nid: number; base_nid: number | null; hash: string; delta: Buffer }>(
      'SELECT snapshot_nid, base_nid, hash, delta FROM state_snapshots WHERE room_nid = ?',
      [roomNid],
    )
    return rows.map((row) => ({
      snapshotNid: row.snapshot_nid,
      baseNid: row.base_nid ?? undefined,
      hash: row.hash,
      delta: row.delta,
    }))
  }

  /** The snapshots that events of the room's timeline name. Reads the room's events. */
  async listReferenced(q: Query, roomNid: number): Promise<number[]> {
    const rows = await q.all<{ nid: number }>(
      `SELECT e.state_before AS nid FROM events e WHERE ${PLACED} AND e.state_before IS NOT NULL
       UNION SELECT e.state_after FROM events e WHERE ${PLACED} AND e.state_after IS NOT NULL`,
      [roomNid, roomNid],
    )
    return rows.map(({ nid }) => nid)
  }

  /** Those of some events that a room does not have. */
  async listAbsent(q: Query, roomNid: number, eventNids: readonly number[]): Promise<Set<number>> {
    const absent = new Set(eventNids)
    for (let start = 0; start < eventNids.length; start += BATCH) {
      const rows = await q.all<{ event_nid: number }>(
        `SELECT event_nid FROM events WHERE room_nid = ? AND ${q.dialect.anyOf('event_nid', 'integer')}`,
        [roomNid, q.dialect.list(eventNids.slice(start, start + BATCH))],
      )
      for (const row of rows) absent.delete(row.event_nid)
    }
    return absent
  }

  /**
   * The events of the timeline that name one of these snapshots, or none where there should be one, the shallowest
   * first; without those that say nothing of a state: they hand on that of the event before them. Reads the room's
   * events.
   */
  async listStateless(q: Query, roomNid: number, snapshotNids: readonly number[]): Promise<StatelessEvent[]> {
    const isUnusable = (column: string): string =>
      `(${column} IS NULL OR ${q.dialect.anyOf(column, 'integer')})`
    const list = q.dialect.list(snapshotNids)
    const rows = await q.all<{
      event_nid: number
      event_id: string
      depth: number
      state_before: number | null
      state_after: number | null
      changes_state: number
    }>(
      `SELECT e.event_nid, e.event_id, e.depth, e.state_before, e.state_after,
         CASE WHEN e.state_key IS NOT NULL AND e.rejected IS NULL THEN 1 ELSE 0 END AS changes_state
       FROM events e WHERE ${PLACED}
         AND (${isUnusable('e.state_before')} OR ${isUnusable('e.state_after')})
         AND NOT (e.state_before IS NOT NULL AND e.state_before = e.state_after AND EXISTS (
           SELECT 1 FROM event_edges d JOIN events p ON p.event_nid = d.prev_nid
           WHERE d.event_nid = e.event_nid AND p.stream_ordering IS NOT NULL AND p.state_after = e.state_before))
       ORDER BY e.depth, e.stream_ordering`,
      [roomNid, list, list],
    )
    return rows.map((row) => ({
      eventNid: row.event_nid,
      eventId: row.event_id as EventId,
      depth: row.depth,
      stateBefore: row.state_before,
      stateAfter: row.state_after,
      changesState: row.changes_state === 1,
    }))
  }

  /** How many events refer to each of some snapshots, and the first. Reads the room's events. */
  async listUses(
    q: Query,
    roomNid: number,
    snapshotNids: readonly number[],
  ): Promise<Map<number, SnapshotUse>> {
    const users = (column: string): string =>
      `SELECT ${column} AS nid, e.event_nid, e.stream_ordering FROM events e
       WHERE ${PLACED} AND ${q.dialect.anyOf(column, 'integer')}`
    const list = q.dialect.list(snapshotNids)
    const rows = await q.all<{ nid: number; events: number; event_id: string }>(
      `SELECT u.nid, u.events, f.event_id FROM (
         SELECT nid, COUNT(DISTINCT event_nid) AS events, MIN(stream_ordering) AS first_stream
         FROM (${users('e.state_before')} UNION ALL ${users('e.state_after')}) AS w GROUP BY nid) AS u
       JOIN events f ON f.stream_ordering = u.first_stream ORDER BY u.first_stream, u.nid`,
      [roomNid, list, roomNid, list],
    )
    return new Map(rows.map((row) => [row.nid, { events: row.events, first: row.event_id as EventId }]))
  }

  /** Where events stand, by ID; those that are not held are left out. By unique index. */
  async listPlaces(q: Query, ids: readonly EventId[]): Promise<Map<EventId, EventPlace>> {
    const rows = await q.all<{
      event_id: string
      event_nid: number
      stream_ordering: number | null
      state_after: number | null
    }>(
      `SELECT event_id, event_nid, stream_ordering, state_after FROM events
       WHERE ${q.dialect.anyOf('event_id', 'text')}`,
      [q.dialect.list(ids)],
    )
    return new Map(
      rows.map((row) => [
        row.event_id as EventId,
        { eventNid: row.event_nid, streamOrdering: row.stream_ordering, stateAfter: row.state_after },
      ]),
    )
  }

  /** The states before the events that follow one of these and no other: by event, the state after it. */
  async listStatesBeforeOnlyChildren(
    q: Query,
    eventNids: readonly number[],
  ): Promise<{ eventNid: number; stateBefore: number }[]> {
    const rows = await q.all<{ prev_nid: number; state_before: number }>(
      `SELECT d.prev_nid, c.state_before FROM event_edges d JOIN events c ON c.event_nid = d.event_nid
       WHERE ${q.dialect.anyOf('d.prev_nid', 'integer')} AND c.stream_ordering IS NOT NULL
         AND c.state_before IS NOT NULL AND c.rejected IS NULL
         AND NOT EXISTS (SELECT 1 FROM event_edges o WHERE o.event_nid = c.event_nid AND o.prev_nid <> d.prev_nid)`,
      [q.dialect.list(eventNids)],
    )
    return rows.map((row) => ({ eventNid: row.prev_nid, stateBefore: row.state_before }))
  }

  /** Makes all events of a room name other snapshots. Gives the events, for whoever has them in memory. */
  async replace(tx: Tx, roomNid: number, replaced: ReadonlyMap<number, number>): Promise<number[]> {
    const list = tx.dialect.list([...replaced.keys()])
    const { dialect } = tx
    const affected = await tx.all<{ event_nid: number }>(
      `SELECT event_nid FROM events WHERE room_nid = ?
         AND (${dialect.anyOf('state_before', 'integer')} OR ${dialect.anyOf('state_after', 'integer')})`,
      [roomNid, list, list],
    )
    const source = dialect.rowsFrom({ old_nid: 'integer', new_nid: 'integer' })
    const rows = dialect.rows([...replaced].map(([from, to]) => ({ old_nid: from, new_nid: to })))
    for (const column of ['state_before', 'state_after']) {
      await tx.execute(
        `UPDATE events SET ${column} = r.new_nid FROM ${source} AS r
         WHERE events.room_nid = ? AND events.${column} = r.old_nid`,
        [rows, roomNid],
      )
    }
    return affected.map((row) => row.event_nid)
  }

  async delete(tx: Tx, snapshotNids: readonly number[]): Promise<void> {
    await tx.execute(`DELETE FROM state_snapshots WHERE ${tx.dialect.anyOf('snapshot_nid', 'integer')}`, [
      tx.dialect.list(snapshotNids),
    ])
  }
}

const BATCH = 10_000
