import type { Row, SqlValue } from '../database.js'
import type { SynapseSource } from './source.js'

/** What is read of a table, page by page. */
export interface SourceRows {
  readonly table: string
  /** Columns that every version has; the table is `t`. */
  readonly columns: readonly string[]
  /** Columns that some versions have: NULL elsewhere. */
  readonly optional?: readonly string[]
  /** Further values by name, as SQL over `t` and what is joined. */
  readonly extra?: Readonly<Record<string, string>>
  readonly join?: string
  readonly where?: string
  /** Of `where`, in order. */
  readonly params?: readonly SqlValue[]
  /** Columns that name a row, of which none is NULL; there is an index on them, or the table is small. */
  readonly key: readonly string[]
}

const PAGE = 2_000

/** All rows of a table, a page at a time, in the order of the key. Nothing for a table that is not there. */
export async function* readPages(
  { q, schema }: SynapseSource,
  rows: SourceRows,
  size = PAGE,
): AsyncGenerator<Row[]> {
  if (!schema.hasTable(rows.table)) return
  const key = rows.key.map((column) => `t.${column}`)
  const selected = [
    ...rows.columns.map((column) => `t.${column}`),
    ...(rows.optional ?? []).map((column) =>
      schema.hasColumn(rows.table, column) ? `t.${column}` : `NULL AS ${column}`,
    ),
    ...Object.entries(rows.extra ?? {}).map(([name, sql]) => `${sql} AS ${name}`),
  ]
  let after: SqlValue[] | undefined
  for (;;) {
    const conditions = [
      ...(rows.where === undefined ? [] : [rows.where]),
      ...(after === undefined ? [] : [`(${key.join(', ')}) > (${key.map(() => '?').join(', ')})`]),
    ]
    const page = await q.all(
      `SELECT ${selected.join(', ')} FROM ${rows.table} t ${rows.join ?? ''}
       ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}
       ORDER BY ${key.join(', ')} LIMIT ${size}`,
      [...(rows.params ?? []), ...(after ?? [])],
    )
    if (page.length > 0) yield page.map(storable)
    const last = page.at(-1)
    if (last === undefined || page.length < size) return
    after = rows.key.map((column) => last[column] as SqlValue)
  }
}

/** How many rows a table has; 0 for one that is not there. */
export async function countRows(
  { q, schema }: SynapseSource,
  { table, where, join, params }: Pick<SourceRows, 'table' | 'where' | 'join' | 'params'>,
): Promise<number> {
  if (!schema.hasTable(table)) return 0
  const row = await q.first<{ n: number }>(
    `SELECT COUNT(*) AS n FROM ${table} t ${join ?? ''} ${where === undefined ? '' : `WHERE ${where}`}`,
    params ?? [],
  )
  return row?.n ?? 0
}

/** SQLite keeps text that PostgreSQL cannot: without it, nothing is lost that anybody could see. */
function storable(row: Row): Row {
  for (const [name, value] of Object.entries(row)) {
    if (typeof value === 'string' && value.includes('\0')) row[name] = value.replaceAll('\0', '')
  }
  return row
}

/** Text, wherever a version of Synapse keeps it: some columns are bytes. Undefined for NULL. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return Buffer.isBuffer(value) ? value.toString('utf8').replaceAll('\0', '').toWellFormed() : undefined
}

/** A whole number, or undefined for NULL. */
export function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? Math.trunc(value) : undefined
}

/** Some versions keep truth as a number, others as a boolean, which is read as a number. */
export function isTrue(value: unknown): boolean {
  return value === 1 || value === true
}
