import type { Database, SqlValue, Tx } from '../../src/storage/database.js'
import { quoteName } from '../../src/storage/sql-text.js'

/** A column of the schema as it is in a database. */
export interface Column {
  readonly table: string
  readonly name: string
  readonly type: string
}

const NAMES_ROOM = ['room_nid', 'room_id']
/** What names an event. */
export const NAMES_EVENT: readonly string[] = [
  'event_nid',
  'event_id',
  'join_nid',
  'prev_nid',
  'child_nid',
  'parent_id',
  'prev_event_nid',
  'redaction_nid',
  'target_id',
  'root_id',
]

/** Whether a column names a room or an event. */
export const isOfRoom = ({ name }: Column): boolean => NAMES_ROOM.includes(name) || NAMES_EVENT.includes(name)

/** The columns of all tables but those of the search index, one of which is virtual on SQLite. */
export async function listColumns({ reader: q }: Database): Promise<Column[]> {
  return q.all<Column>(
    q.dialect.name === 'sqlite'
      ? `SELECT m.name AS "table", p.name, p.type FROM sqlite_master m JOIN pragma_table_info(m.name) p
         WHERE m.type = 'table' AND m.sql LIKE 'CREATE TABLE%' AND m.name NOT LIKE 'event_search\\_%' ESCAPE '\\'`
      : `SELECT table_name AS "table", column_name AS name, data_type AS type FROM information_schema.columns
         WHERE table_schema = current_schema() AND table_name NOT LIKE 'event\\_search%'`,
  )
}

/** Adds a row to the table of these columns. */
export async function insertRow(
  tx: Tx,
  columns: readonly Column[],
  valueOf: (column: Column) => SqlValue,
): Promise<void> {
  const names = columns.map(({ name }) => quoteName(name)).join(', ')
  const marks = columns.map(() => '?').join(', ')
  const table = quoteName(columns[0]!.table)
  await tx.execute(`INSERT INTO ${table} (${names}) VALUES (${marks})`, columns.map(valueOf))
}
