import type { RoomId } from '../../protocol/ids.js'
import type { Query } from '../database.js'

/** How much room a table takes, in bytes. */
export interface TableSize {
  readonly name: string
  readonly bytes: number
  /** Of its indexes, on top. */
  readonly indexBytes: number
}

/** How much there is of a room. */
export interface RoomSize {
  readonly roomId: RoomId
  readonly events: number
  /** Of the events as JSON. */
  readonly eventBytes: number
  /** Pieces of the current state. */
  readonly stateEvents: number
  readonly snapshots: number
  readonly snapshotBytes: number
}

/** How much room the database takes. Reads all of it. */
export class DatabaseSizeStore {
  /** `freeBytes`: inside the file, of which new rows take first; undefined where the database does not say. */
  async total(q: Query): Promise<{ bytes: number; freeBytes: number | undefined }> {
    if (q.dialect.name === 'postgres') {
      const row = await q.first<{ bytes: number }>('SELECT pg_database_size(current_database()) AS bytes')
      return { bytes: row?.bytes ?? 0, freeBytes: undefined }
    }
    const row = await q.first<{ bytes: number; free: number }>(
      `SELECT page_count * page_size AS bytes, freelist_count * page_size AS free
       FROM pragma_page_count, pragma_page_size, pragma_freelist_count`,
    )
    return { bytes: row?.bytes ?? 0, freeBytes: row?.free ?? 0 }
  }

  /** The largest first. */
  async byTable(q: Query): Promise<TableSize[]> {
    const sql =
      q.dialect.name === 'postgres'
        ? `SELECT c.relname AS name, pg_table_size(c.oid) AS bytes, pg_indexes_size(c.oid) AS "indexBytes"
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind = 'r' AND n.nspname = ANY(current_schemas(false))`
        : `SELECT m.tbl_name AS name, SUM(CASE WHEN m.type = 'table' THEN s.pgsize ELSE 0 END) AS bytes,
             SUM(CASE WHEN m.type = 'index' THEN s.pgsize ELSE 0 END) AS "indexBytes"
           FROM dbstat s JOIN sqlite_master m ON m.name = s.name WHERE s.aggregate = 1 GROUP BY m.tbl_name`
    const rows = await q.all<TableSize>(sql)
    const size = ({ bytes, indexBytes }: TableSize): number => bytes + indexBytes
    return rows.sort((a, b) => size(b) - size(a) || (a.name < b.name ? -1 : 1))
  }

  /** The rooms that take most. */
  async byRoom(q: Query, limit: number): Promise<RoomSize[]> {
    const rows = await q.all<{
      room_id: string
      events: number
      event_bytes: number
      state_events: number
      snapshots: number
      snapshot_bytes: number
    }>(
      `SELECT r.room_id, COALESCE(e.n, 0) AS events, COALESCE(e.bytes, 0) AS event_bytes,
         (SELECT COUNT(*) FROM current_state c WHERE c.room_nid = r.room_nid) AS state_events,
         COALESCE(s.n, 0) AS snapshots, COALESCE(s.bytes, 0) AS snapshot_bytes
       FROM rooms r
       LEFT JOIN (SELECT room_nid, COUNT(*) AS n, CAST(SUM(OCTET_LENGTH(json)) AS BIGINT) AS bytes
                  FROM events GROUP BY room_nid) AS e ON e.room_nid = r.room_nid
       LEFT JOIN (SELECT room_nid, COUNT(*) AS n, CAST(SUM(OCTET_LENGTH(delta)) AS BIGINT) AS bytes
                  FROM state_snapshots GROUP BY room_nid) AS s ON s.room_nid = r.room_nid
       ORDER BY COALESCE(e.bytes, 0) + COALESCE(s.bytes, 0) DESC, r.room_id LIMIT ?`,
      [limit],
    )
    return rows.map((row) => ({
      roomId: row.room_id as RoomId,
      events: row.events,
      eventBytes: row.event_bytes,
      stateEvents: row.state_events,
      snapshots: row.snapshots,
      snapshotBytes: row.snapshot_bytes,
    }))
  }
}
