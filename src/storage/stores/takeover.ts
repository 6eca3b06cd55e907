import type { Query, Tx } from '../database.js'
import { encodeReach, type AuthChainPosition } from '../auth-reach.js'

/** How far the takeover of another server has come. */
export interface TakeoverRecord {
  readonly serverName: string
  readonly stage: 'copying' | 'finished'
  readonly beganTs: number
  readonly finishedTs: number | undefined
  readonly lastPosition: number
}

/** A database that another server is being copied into, and that does not hold everything yet. */
export class UnfinishedTakeoverError extends Error {
  override readonly name = 'UnfinishedTakeoverError'
}

/** For a server that is about to use a database: throws an `UnfinishedTakeoverError` for one that is copied into. */
export async function refuseUnfinishedTakeover(q: Query): Promise<void> {
  const record = await new TakeoverStore().get(q)
  if (record === undefined || record.stage === 'finished') return
  throw new UnfinishedTakeoverError(
    `The takeover of ${record.serverName} into this database is not finished: stop Synapse, and run mxhs import ` +
      'synapse without --while-running',
  )
}

/** How far a room has been copied. */
export interface RoomProgress {
  readonly roomNid: number
  readonly newest: number
  readonly oldest: number
  /** What its events came to at the source when all had been copied; undefined until then. */
  readonly source: string | undefined
}

interface TakeoverRow {
  server_name: string
  stage: string
  began_ts: number
  finished_ts: number | null
  last_position: number
}

interface RoomRow {
  room_id: string
  room_nid: number
  newest: number
  oldest: number
  source: string | null
}

/** What is remembered of a takeover while it goes on. */
export class TakeoverStore {
  async get(q: Query): Promise<TakeoverRecord | undefined> {
    const row = await q.first<TakeoverRow>('SELECT * FROM takeover WHERE id = 1')
    return (
      row && {
        serverName: row.server_name,
        stage: row.stage as TakeoverRecord['stage'],
        beganTs: row.began_ts,
        finishedTs: row.finished_ts ?? undefined,
        lastPosition: row.last_position,
      }
    )
  }

  async put(tx: Tx, record: TakeoverRecord): Promise<void> {
    await tx.execute(
      `INSERT INTO takeover (id, server_name, stage, began_ts, finished_ts, last_position)
       VALUES (1, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET stage = excluded.stage, finished_ts = excluded.finished_ts,
         last_position = excluded.last_position`,
      [record.serverName, record.stage, record.beganTs, record.finishedTs ?? null, record.lastPosition],
    )
  }

  /** Whether anybody or anything is in the database that a takeover has not brought. */
  async isInUse(q: Query): Promise<boolean> {
    const row = await q.first(
      'SELECT 1 AS found WHERE EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM rooms)',
    )
    return row !== undefined
  }

  /** The rooms that have been begun, by ID. */
  async listRooms(q: Query): Promise<Map<string, RoomProgress>> {
    const rows = await q.all<RoomRow>(
      `SELECT r.room_id, t.room_nid, t.newest, t.oldest, t.source
       FROM takeover_rooms t JOIN rooms r ON r.room_nid = t.room_nid`,
    )
    return new Map(
      rows.map((row) => [
        row.room_id,
        {
          roomNid: row.room_nid,
          newest: row.newest,
          oldest: row.oldest,
          source: row.source ?? undefined,
        },
      ]),
    )
  }

  async putRoom(tx: Tx, { roomNid, newest, oldest, source }: RoomProgress): Promise<void> {
    await tx.execute(
      `INSERT INTO takeover_rooms (room_nid, newest, oldest, source) VALUES (?, ?, ?, ?)
       ON CONFLICT (room_nid) DO UPDATE SET newest = excluded.newest, oldest = excluded.oldest,
         source = excluded.source`,
      [roomNid, newest, oldest, source ?? null],
    )
  }

  async listStateGroups(
    q: Query,
    roomNid: number,
  ): Promise<{ readonly stateGroup: number; readonly snapshotNid: number }[]> {
    const rows = await q.all<{ state_group: number; snapshot_nid: number }>(
      'SELECT state_group, snapshot_nid FROM takeover_state_groups WHERE room_nid = ?',
      [roomNid],
    )
    return rows.map((row) => ({ stateGroup: row.state_group, snapshotNid: row.snapshot_nid }))
  }

  async insertStateGroups(
    tx: Tx,
    roomNid: number,
    groups: readonly { readonly stateGroup: number; readonly snapshotNid: number }[],
  ): Promise<void> {
    await tx.insertMany(
      'takeover_state_groups',
      groups.map(({ stateGroup, snapshotNid }) => ({
        state_group: stateGroup,
        room_nid: roomNid,
        snapshot_nid: snapshotNid,
      })),
      {
        columns: { state_group: 'integer', room_nid: 'integer', snapshot_nid: 'integer' },
        conflict: 'ignore',
      },
    )
  }

  /** The snapshots of a room by their names. */
  async listSnapshots(
    q: Query,
    roomNid: number,
  ): Promise<{ readonly snapshotNid: number; readonly hash: string; readonly hops: number }[]> {
    const rows = await q.all<{ snapshot_nid: number; hash: string; hops: number }>(
      'SELECT snapshot_nid, hash, hops FROM state_snapshots WHERE room_nid = ?',
      [roomNid],
    )
    return rows.map((row) => ({ snapshotNid: row.snapshot_nid, hash: row.hash, hops: row.hops }))
  }

  async insertAuthPositions(tx: Tx, positions: ReadonlyMap<number, AuthChainPosition>): Promise<void> {
    await tx.insertMany(
      'auth_chains',
      [...positions].map(([eventNid, { chainNid, seq, reach }]) => ({
        event_nid: eventNid,
        chain_nid: chainNid,
        seq,
        reach: encodeReach(reach),
      })),
      { columns: { event_nid: 'integer', chain_nid: 'integer', seq: 'integer', reach: 'blob' } },
    )
  }

  /** State events of a room that stand in no auth chain yet, by nid. */
  async listUnplaced(q: Query, roomNid: number): Promise<{ eventNid: number; json: string }[]> {
    const rows = await q.all<{ event_nid: number; json: string }>(
      `SELECT e.event_nid, e.json FROM events e LEFT JOIN auth_chains a ON a.event_nid = e.event_nid
       WHERE e.room_nid = ? AND e.state_key IS NOT NULL AND a.event_nid IS NULL ORDER BY e.event_nid`,
      [roomNid],
    )
    return rows.map((row) => ({ eventNid: row.event_nid, json: row.json }))
  }

  /** (type, state key) of events, by nid. */
  async listStateKeys(
    q: Query,
    eventNids: readonly number[],
  ): Promise<Map<number, { readonly type: string; readonly stateKey: string }>> {
    const rows = await q.all<{ event_nid: number; type: string; state_key: string }>(
      `SELECT event_nid, type, state_key FROM events
       WHERE ${q.dialect.anyOf('event_nid', 'integer')} AND state_key IS NOT NULL`,
      [q.dialect.list(eventNids)],
    )
    return new Map(rows.map((row) => [row.event_nid, { type: row.type, stateKey: row.state_key }]))
  }

  /** Events of a room that are referred to and not held, or held as outliers, by ID. */
  async listMissing(q: Query, roomNid: number): Promise<Map<string, number>> {
    const rows = await q.all<{ event_id: string; event_nid: number }>(
      'SELECT event_id, event_nid FROM missing_events WHERE room_nid = ?',
      [roomNid],
    )
    return new Map(rows.map((row) => [row.event_id, row.event_nid]))
  }

  /** The largest nid of all missing events that are not held at all (see services/takeover/source-events.ts). */
  async largestMissingNid(q: Query): Promise<number> {
    const row = await q.first<{ nid: number | null }>(
      'SELECT MAX(event_nid) AS nid FROM missing_events WHERE event_nid % 3 = 2',
    )
    return row?.nid ?? 0
  }

  /** Previous events that were missing have come, under other nids. */
  async moveEdges(tx: Tx, moves: readonly { readonly from: number; readonly to: number }[]): Promise<void> {
    if (moves.length === 0) return
    const source = tx.dialect.rowsFrom({ old_nid: 'integer', new_nid: 'integer' })
    await tx.execute(
      `UPDATE event_edges SET prev_nid = r.new_nid FROM ${source} AS r WHERE event_edges.prev_nid = r.old_nid`,
      [tx.dialect.rows(moves.map(({ from, to }) => ({ old_nid: from, new_nid: to })))],
    )
  }

  /** Outliers of a room by nid, after one. */
  async listOutliers(
    q: Query,
    { roomNid, after, limit }: { roomNid: number; after: number; limit: number },
  ): Promise<{ readonly eventNid: number; readonly eventId: string }[]> {
    const rows = await q.all<{ event_nid: number; event_id: string }>(
      `SELECT event_nid, event_id FROM events
       WHERE room_nid = ? AND stream_ordering IS NULL AND event_nid > ? ORDER BY event_nid LIMIT ?`,
      [roomNid, after, limit],
    )
    return rows.map((row) => ({ eventNid: row.event_nid, eventId: row.event_id }))
  }

  /** What the events of a room come to. */
  async countEvents(
    q: Query,
    roomNid: number,
  ): Promise<{ readonly events: number; readonly outliers: number; readonly rejected: number }> {
    const row = await q.first<{ events: number; placed: number; rejected: number }>(
      `SELECT COUNT(*) AS events, COUNT(stream_ordering) AS placed, COUNT(rejected) AS rejected
       FROM events WHERE room_nid = ?`,
      [roomNid],
    )
    const { events = 0, placed = 0, rejected = 0 } = row ?? {}
    return { events, outliers: events - placed, rejected }
  }

  /** Room nids by ID. */
  async listRoomNids(q: Query): Promise<Map<string, number>> {
    const rows = await q.all<{ room_id: string; room_nid: number }>('SELECT room_id, room_nid FROM rooms')
    return new Map(rows.map((row) => [row.room_id, row.room_nid]))
  }
}
