import type { Query } from '../database.js'

/** A table of PostgreSQL and what it takes. */
export interface TableHealth {
  readonly table: string
  /** With its indexes, in bytes. */
  readonly bytes: number
  readonly liveRows: number
  /** Rows that are deleted or replaced, and whose room nothing uses yet. */
  readonly deadRows: number
  /** When it was last cleaned up, by itself or by hand; undefined: never. */
  readonly vacuumedTs: number | undefined
}

export interface PostgresHealth {
  /** As in `16.2`. */
  readonly version: string
  /** As in `160002`. */
  readonly versionNumber: number
  readonly encoding: string
  readonly collation: string
  /** By which version of the system's locales texts are in order in indexes; undefined: of none that changes. */
  readonly collationVersion: { readonly made: string; readonly actual: string } | undefined
  readonly bytes: number
  readonly connections: number
  /** Settings of the server, by name. */
  readonly settings: ReadonlyMap<string, string>
  /** Names of indexes that are not used, since making them has failed. */
  readonly invalidIndexes: readonly string[]
  /** How many transactions have passed since the oldest row was last frozen: at 2,000,000,000 writing stops. */
  readonly transactionAge: number
  /** Largest first. */
  readonly tables: readonly TableHealth[]
}

export interface SqliteHealth {
  readonly version: string
  readonly journalMode: string
  /** Of the file, in bytes, and how much of that is unused. */
  readonly bytes: number
  readonly freeBytes: number
}

const SETTINGS = ['fsync', 'full_page_writes', 'autovacuum', 'max_connections', 'synchronous_commit'] as const
const MAX_TABLES = 10

/** How the database itself is doing, for reports. */
export class DatabaseHealthStore {
  async readSqlite(q: Query): Promise<SqliteHealth> {
    const version = await q.first<{ version: string }>('SELECT sqlite_version() AS version')
    const mode = await q.first<{ journal_mode: string }>('PRAGMA journal_mode')
    const size = await q.first<{ page_size: number }>('PRAGMA page_size')
    const pages = await q.first<{ page_count: number }>('PRAGMA page_count')
    const free = await q.first<{ freelist_count: number }>('PRAGMA freelist_count')
    const pageBytes = size?.page_size ?? 0
    return {
      version: version?.version ?? '',
      journalMode: mode?.journal_mode ?? '',
      bytes: (pages?.page_count ?? 0) * pageBytes,
      freeBytes: (free?.freelist_count ?? 0) * pageBytes,
    }
  }

  /** What is wrong with the file: SQLite's own words, at most ten. Reads all of it. */
  async findDamage(q: Query): Promise<string[]> {
    const rows = await q.all<{ quick_check: string }>('PRAGMA quick_check(10)')
    return rows.map((row) => row.quick_check).filter((line) => line !== 'ok')
  }

  async readPostgres(q: Query): Promise<PostgresHealth> {
    const row = await q.first<{
      version: string
      number: number
      encoding: string
      collation: string
      bytes: number
      connections: number
      age: number
    }>(
      `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
         pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collation,
         pg_database_size(d.oid) AS bytes, age(d.datfrozenxid) AS age,
         (SELECT COUNT(*) FROM pg_stat_activity a WHERE a.backend_type = 'client backend') AS connections
       FROM pg_database d WHERE d.datname = current_database()`,
    )
    const settings = await q.all<{ name: string; setting: string }>(
      `SELECT name, setting FROM pg_settings WHERE ${q.dialect.anyOf('name', 'text')}`,
      [q.dialect.list([...SETTINGS])],
    )
    const invalid = await q.all<{ name: string }>(
      `SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
       WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace ORDER BY c.relname`,
    )
    if (row === undefined) throw new Error('The database does not say what it is')
    return {
      version: row.version,
      versionNumber: row.number,
      encoding: row.encoding,
      collation: row.collation,
      collationVersion: await this.#collationVersion(q, row.number),
      bytes: row.bytes,
      connections: row.connections,
      transactionAge: row.age,
      settings: new Map(settings.map(({ name, setting }) => [name, setting])),
      invalidIndexes: invalid.map(({ name }) => name),
      tables: await this.#listTables(q),
    }
  }

  /** Known to PostgreSQL 15 and later. */
  async #collationVersion(q: Query, versionNumber: number): Promise<PostgresHealth['collationVersion']> {
    if (versionNumber < 150_000) return undefined
    const row = await q.first<{ made: string | null; actual: string | null }>(
      `SELECT d.datcollversion AS made, pg_database_collation_actual_version(d.oid) AS actual
       FROM pg_database d WHERE d.datname = current_database()`,
    )
    const { made, actual } = row ?? { made: null, actual: null }
    return made === null || actual === null ? undefined : { made, actual }
  }

  async #listTables(q: Query): Promise<TableHealth[]> {
    const rows = await q.all<{
      name: string
      bytes: number
      live: number
      dead: number
      vacuumed: number | null
    }>(
      `SELECT s.relname AS name, pg_total_relation_size(s.relid) AS bytes, s.n_live_tup AS live, s.n_dead_tup AS dead,
         CAST(EXTRACT(EPOCH FROM GREATEST(s.last_vacuum, s.last_autovacuum)) * 1000 AS BIGINT) AS vacuumed
       FROM pg_stat_user_tables s WHERE s.schemaname = current_schema()
       ORDER BY pg_total_relation_size(s.relid) DESC LIMIT ?`,
      [MAX_TABLES],
    )
    return rows.map(({ name, bytes, live, dead, vacuumed }) => ({
      table: name,
      bytes,
      liveRows: live,
      deadRows: dead,
      vacuumedTs: vacuumed ?? undefined,
    }))
  }

  /** How many events there are, and how many snapshots of the state of rooms. */
  async countGrowth(q: Query): Promise<{ events: number; snapshots: number }> {
    const row = await q.first<{ events: number; snapshots: number }>(
      `SELECT (SELECT COUNT(*) FROM events) AS events, (SELECT COUNT(*) FROM state_snapshots) AS snapshots`,
    )
    return { events: row?.events ?? 0, snapshots: row?.snapshots ?? 0 }
  }

  /** The rooms that have more leaves than `threshold`, those with the most first. */
  async listCrowdedRooms(
    q: Query,
    { threshold, limit }: { readonly threshold: number; readonly limit: number },
  ): Promise<{ roomId: string; extremities: number }[]> {
    const rows = await q.all<{ room_id: string; ends: number }>(
      `SELECT r.room_id, f.ends FROM (
         SELECT room_nid, COUNT(*) AS ends FROM forward_extremities GROUP BY room_nid HAVING COUNT(*) > ?
       ) f JOIN rooms r ON r.room_nid = f.room_nid ORDER BY f.ends DESC, r.room_id LIMIT ?`,
      [threshold, limit],
    )
    return rows.map(({ room_id: roomId, ends: extremities }) => ({ roomId, extremities }))
  }
}
