import type { Query } from '../database.js'
import { readCatalog } from '../porting/read-catalog.js'
import type { PortedType, TableShape as PortedShape } from '../porting/table-shape.js'
import type { ColumnType } from '../sql-value.js'

export interface ColumnShape {
  readonly name: string
  readonly type: ColumnType
}

/** A table whose rows are kept in an archive, by names and types that both engines share. */
export interface TableShape {
  readonly name: string
  /** In the order of the table. */
  readonly columns: readonly ColumnShape[]
  /** Names of the columns of its primary key, in order. */
  readonly key: readonly string[]
}

/** How far the index of words goes, which each engine keeps in its own way, and which is made anew by itself. */
const SEARCH_POSITION = 'event_search_position'

const TYPES: Readonly<Record<PortedType, ColumnType>> = { text: 'text', integer: 'integer', bytes: 'blob' }

/** All tables to be kept, sorted by name. Throws for one whose rows nothing tells apart. */
export async function listTables(q: Query): Promise<TableShape[]> {
  const { tables, foreign } = await readCatalog(q.dialect.name, (sql) => q.all(sql))
  const [odd] = foreign
  if (odd !== undefined) throw new Error(`The table ${odd.name} cannot be kept: ${odd.reason}`)
  return tables
    .filter(({ name }) => name !== SEARCH_POSITION)
    .map(({ name, columns, key }) => ({
      name,
      columns: columns.map((column) => ({ name: column.name, type: TYPES[column.type] })),
      key: key.map((column) => column.name),
    }))
}

/** The same as rows are carried in bulk. */
export function toPortedShape({ name, columns, key }: TableShape): PortedShape {
  const ported = columns.map((column) => ({ name: column.name, type: portedType(name, column) }))
  return { name, columns: ported, key: ported.filter((column) => key.includes(column.name)) }
}

function portedType(table: string, { name, type }: ColumnShape): PortedType {
  if (type === 'text' || type === 'integer') return type
  if (type === 'blob') return 'bytes'
  throw new Error(`${table}.${name} is of the type ${type}, which no table has`)
}
