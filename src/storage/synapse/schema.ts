import type { Query } from '../database.js'

/** The versions of Synapse's schema that are known: those of 1.74 up to today's. */
export const OLDEST_SCHEMA = 73
export const NEWEST_SCHEMA = 94

/** Which tables and columns a Synapse has: that differs by its age. */
export class SourceSchema {
  /** Undefined: this is no database of a Synapse. */
  readonly version: number | undefined
  /** The oldest version of a program that may use the database. */
  readonly compatVersion: number | undefined
  readonly #columns: ReadonlyMap<string, ReadonlySet<string>>

  constructor(
    columns: ReadonlyMap<string, ReadonlySet<string>>,
    versions: { version: number | undefined; compatVersion: number | undefined },
  ) {
    this.#columns = columns
    this.version = versions.version
    this.compatVersion = versions.compatVersion
  }

  hasTable(table: string): boolean {
    return this.#columns.has(table)
  }

  hasColumn(table: string, column: string): boolean {
    return this.#columns.get(table)?.has(column) ?? false
  }
}

/** Looks a database over. Works for any, also for one that is empty. */
export async function readSourceSchema(q: Query): Promise<SourceSchema> {
  const rows = await q.all<{ table_name: string; column_name: string }>(
    q.dialect.name === 'sqlite'
      ? `SELECT m.name AS table_name, p.name AS column_name
         FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table'`
      : `SELECT table_name, column_name FROM information_schema.columns
         WHERE table_schema = ANY (current_schemas(false))`,
  )
  const columns = new Map<string, Set<string>>()
  for (const { table_name: table, column_name: column } of rows) {
    const known = columns.get(table)
    if (known) known.add(column)
    else columns.set(table, new Set([column]))
  }
  return new SourceSchema(columns, {
    version: await readVersion(q, columns, { table: 'schema_version', column: 'version' }),
    compatVersion: await readVersion(q, columns, {
      table: 'schema_compat_version',
      column: 'compat_version',
    }),
  })
}

async function readVersion(
  q: Query,
  columns: ReadonlyMap<string, ReadonlySet<string>>,
  { table, column }: { table: string; column: string },
): Promise<number | undefined> {
  if (columns.get(table)?.has(column) !== true) return undefined
  const row = await q.first<{ version: number }>(`SELECT ${column} AS version FROM ${table}`)
  return row?.version
}
