import type { Query } from '../database.js'
import { isOwnTable } from '../porting/table-shape.js'
import type { ColumnType } from '../sql-value.js'

export interface ColumnShape {
  readonly name: string
  readonly type: ColumnType
}

/** A table whose rows are carried from one database to another, by names and types that both engines share. */
export interface TableShape {
  readonly name: string
  /** In the order of the table. */
  readonly columns: readonly ColumnShape[]
  /** Names of the columns of its primary key, in order. */
  readonly key: readonly string[]
}

/** The index of words, which each engine keeps in its own way, and which is made anew by itself. */
const SEARCH_TABLES: ReadonlySet<string> = new Set(['event_search', 'event_search_position'])

/** All tables to be carried, sorted by name. Throws for one whose rows nothing tells apart. */
export async function listTables(q: Query): Promise<TableShape[]> {
  const rows = q.dialect.name === 'sqlite' ? await sqliteColumns(q) : await postgresColumns(q)
  const tables = new Map<string, { columns: ColumnShape[]; key: { name: string; place: number }[] }>()
  for (const { table_name, column_name, type, place } of rows) {
    if (isOwnTable(table_name) || SEARCH_TABLES.has(table_name)) continue
    const table = tables.get(table_name) ?? { columns: [], key: [] }
    tables.set(table_name, table)
    table.columns.push({ name: column_name, type: columnType(table_name, type) })
    if (place > 0) table.key.push({ name: column_name, place })
  }
  return [...tables].map(([name, { columns, key }]) => {
    if (key.length === 0) throw new Error(`The table ${name} has no primary key`)
    return { name, columns, key: key.sort((a, b) => a.place - b.place).map((part) => part.name) }
  })
}

interface ColumnRow {
  table_name: string
  column_name: string
  type: string
  /** In the primary key, from 1; 0 for columns that are not in it. */
  place: number
}

function sqliteColumns(q: Query): Promise<ColumnRow[]> {
  // Of an index of words, `shadow` tables hold what it consists of.
  return q.all(
    `SELECT t.name AS table_name, c.name AS column_name, c.type AS type, c.pk AS place
     FROM pragma_table_list AS t, pragma_table_info(t.name) AS c
     WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
     ORDER BY t.name, c.cid`,
  )
}

function postgresColumns(q: Query): Promise<ColumnRow[]> {
  return q.all(
    `SELECT c.relname AS table_name, a.attname AS column_name, format_type(a.atttypid, NULL) AS type,
       COALESCE(array_position(i.indkey::int2[], a.attnum) + 1, 0) AS place
     FROM pg_class c
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
     WHERE c.relkind = 'r' AND c.relnamespace = to_regnamespace(quote_ident(current_schema()))
     ORDER BY c.relname COLLATE "C", a.attnum`,
  )
}

const TYPES: Readonly<Record<string, ColumnType>> = {
  text: 'text',
  bigint: 'integer',
  integer: 'integer',
  smallint: 'integer',
  real: 'real',
  'double precision': 'real',
  blob: 'blob',
  bytea: 'blob',
}

function columnType(table: string, name: string): ColumnType {
  const type = TYPES[name.toLowerCase()]
  if (type === undefined) throw new Error(`The table ${table} has a column of the type ${name}`)
  return type
}
