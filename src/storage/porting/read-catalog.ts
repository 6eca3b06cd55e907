import {
  isOwnTable,
  shapeOf,
  type Catalog,
  type FoundTable,
  type PortedType,
  type TableShape,
} from './table-shape.js'

/** Asks a database. */
type Ask = <T>(sql: string) => Promise<T[]>

interface FoundColumn {
  readonly table_name: string
  readonly name: string
  readonly type: string
  /** In the primary key, in order; 0 for columns that are not in it. */
  readonly place: number
}

const TYPES: Readonly<Record<string, PortedType>> = {
  TEXT: 'text',
  INTEGER: 'integer',
  BIGINT: 'integer',
  SMALLINT: 'integer',
  BLOB: 'bytes',
  BYTEA: 'bytes',
}

/** Of a table of PostgreSQL with this type, the whole is a full-text index. */
const SEARCH_TYPE = 'tsvector'

/** What tables a database has, besides its own. */
export async function readCatalog(engine: 'sqlite' | 'postgres', ask: Ask): Promise<Catalog> {
  const columns = await ask<FoundColumn>(engine === 'sqlite' ? SQLITE_COLUMNS : POSTGRES_COLUMNS)
  const searchIndexes =
    engine === 'sqlite'
      ? (await ask<{ name: string }>(SQLITE_SEARCH_INDEXES)).map(({ name }) => name)
      : columns.filter(({ type }) => type === SEARCH_TYPE).map((column) => column.table_name)
  const tables: TableShape[] = []
  const foreign: { name: string; reason: string }[] = []
  for (const name of new Set(columns.map((column) => column.table_name))) {
    if (isOwnTable(name) || searchIndexes.includes(name)) continue
    const found = columns.filter((column) => column.table_name === name)
    const shape = shapeOf(foundTable(name, found))
    if ('reason' in shape) foreign.push(shape)
    else tables.push(shape)
  }
  return { tables, foreign, searchIndexes }
}

/** Of a full-text index, `shadow` tables hold what it consists of. */
const SQLITE_COLUMNS = `SELECT t.name AS table_name, c.name AS name, c.type AS type, c.pk AS place
  FROM pragma_table_list AS t, pragma_table_xinfo(t.name) AS c
  WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
  ORDER BY t.name, c.cid`

const SQLITE_SEARCH_INDEXES = `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'virtual' ORDER BY name`

const POSTGRES_COLUMNS = `SELECT c.relname AS table_name, a.attname AS name, format_type(a.atttypid, NULL) AS type,
    COALESCE(array_position(i.indkey::smallint[], a.attnum) + 1, 0) AS place
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
  WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relkind IN ('r', 'p')
  ORDER BY c.relname COLLATE "C", a.attnum`

function foundTable(name: string, columns: readonly FoundColumn[]): FoundTable {
  return {
    name,
    columns: columns.map((column) => ({ name: column.name, type: TYPES[column.type.toUpperCase()] })),
    key: columns
      .filter(({ place }) => place > 0)
      .sort((a, b) => a.place - b.place)
      .map((column) => column.name),
  }
}
