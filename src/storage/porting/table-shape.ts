/** What both databases keep in a column; booleans are integers, JSON is text. */
export type PortedType = 'text' | 'integer' | 'bytes'

export interface PortedColumn {
  readonly name: string
  readonly type: PortedType
}

/** A table whose rows are carried from one database to another. */
export interface TableShape {
  readonly name: string
  /** In the order of the database that was asked. */
  readonly columns: readonly PortedColumn[]
  /** Of the primary key, in its order. */
  readonly key: readonly PortedColumn[]
}

/** The tables of a database, sorted by name. */
export interface Catalog {
  readonly tables: readonly TableShape[]
  /** Full-text indexes, which each database keeps in its own form: made anew from what they index. */
  readonly searchIndexes: readonly string[]
  /** What is neither: why it cannot be carried. */
  readonly foreign: readonly { readonly name: string; readonly reason: string }[]
}

/**
 * Tables that belong to a database itself: which migrations it has seen, where its numbers come from, and how far it has
 * been filled.
 */
const OWN_TABLES: ReadonlySet<string> = new Set([
  'schema_migrations',
  'schema_migrations_lock',
  'schema_version',
  'id_counters',
  'port_state',
  'port_progress',
  'port_indexes',
  'restore_unfinished',
])

/** True for tables that are not carried, since every database has its own. */
export function isOwnTable(name: string): boolean {
  return OWN_TABLES.has(name)
}

/** What a database says of one of its tables. */
export interface FoundTable {
  readonly name: string
  readonly columns: readonly { readonly name: string; readonly type: PortedType | undefined }[]
  readonly key: readonly string[]
}

/** The shape of a table, or why it cannot be carried. */
export function shapeOf({ name, columns, key }: FoundTable): TableShape | { name: string; reason: string } {
  const known: PortedColumn[] = []
  for (const column of columns) {
    if (column.type === undefined) return { name, reason: `the type of ${column.name} is not known` }
    known.push({ name: column.name, type: column.type })
  }
  if (key.length === 0) return { name, reason: 'it has no primary key' }
  const keyColumns = key.map((part) => known.find((column) => column.name === part))
  if (!keyColumns.every((column) => column !== undefined && column.type !== 'bytes')) {
    return { name, reason: 'its primary key is not of texts and integers' }
  }
  return { name, columns: known, key: keyColumns as PortedColumn[] }
}

/** Says in what the tables of two databases differ; nothing when rows of the one fit into the other. */
export function describeDifferences(source: Catalog, target: Catalog): string[] {
  const differences: string[] = []
  const targets = new Map(target.tables.map((table) => [table.name, table]))
  for (const table of source.tables) {
    const other = targets.get(table.name)
    targets.delete(table.name)
    if (other === undefined) differences.push(`${table.name} is in the source alone`)
    else if (columnsOf(table) !== columnsOf(other)) differences.push(`${table.name} has other columns`)
    else if (keyOf(table) !== keyOf(other)) differences.push(`${table.name} has another primary key`)
  }
  for (const name of targets.keys()) differences.push(`${name} is in the target alone`)
  for (const { name, reason } of [...source.foreign, ...target.foreign]) {
    differences.push(`${name} cannot be carried over: ${reason}`)
  }
  if (source.searchIndexes.join() !== target.searchIndexes.join()) {
    differences.push('there are other full-text indexes')
  }
  return differences
}

function columnsOf({ columns }: TableShape): string {
  return columns
    .map(({ name, type }) => `${name} ${type}`)
    .sort()
    .join()
}

function keyOf({ key }: TableShape): string {
  return key.map(({ name, type }) => `${name} ${type}`).join()
}
