import { migrations } from '../../../migrations/index.js'
import type { Database, Query } from '../database.js'
import { migrate, rollback } from '../migrator.js'
import { listTables, type TableShape } from './table-catalog.js'
import { hasTable } from '../has-table.js'

/** Rows cannot be taken in: the schema that they are of is not known here. */
export class UnknownSchemaError extends Error {
  override readonly name = 'UnknownSchemaError'
}

/** The names of the steps that the schema of a database consists of, in order. */
export async function listMigrations(q: Query): Promise<string[]> {
  const rows = await q.all<{ name: string }>('SELECT name FROM schema_migrations ORDER BY id')
  return rows.map(({ name }) => name)
}

/** Whether there is nothing at all in a database. */
export async function isEmptyDatabase(q: Query): Promise<boolean> {
  const sql =
    q.dialect.name === 'sqlite'
      ? `SELECT COUNT(*) AS n FROM sqlite_schema`
      : `SELECT COUNT(*) AS n FROM pg_class
         WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind IN ('r', 'v', 'S', 'm', 'p')`
  return (await q.first<{ n: number }>(sql))?.n === 0
}

/**
 * Makes the tables of a schema in an empty database, as it was when rows were read from them: later steps change rows as
 * well, and are taken (`migrate`) when these are there. Throws an `UnknownSchemaError` for steps or tables that this
 * program does not know.
 */
export async function createDumpedSchema(
  db: Database,
  { steps, tables }: { steps: readonly string[]; tables: readonly TableShape[] },
): Promise<void> {
  const known = new Map(migrations.map((migration) => [migration.name, migration]))
  const list = steps.map((step) => {
    const migration = known.get(step)
    if (migration === undefined)
      throw new UnknownSchemaError(`${step} is a step of the schema of a newer version of mxhs`)
    return migration
  })
  await migrate(db, list)
  const own = new Map((await listTables(db.reader)).map((table) => [table.name, table]))
  for (const { name, columns } of tables) {
    const types = new Map(own.get(name)?.columns.map((column) => [column.name, column.type]))
    const wrong = columns.find((column) => types.get(column.name) !== column.type)
    if (wrong !== undefined)
      throw new UnknownSchemaError(`There is no column ${name}.${wrong.name} of ${wrong.type}`)
  }
}

/** Takes away what `createDumpedSchema` has made, with what is in it. */
export async function dropSchema(db: Database): Promise<void> {
  const begun = await hasTable(db.reader, 'schema_migrations')
  const applied = new Set(begun ? await listMigrations(db.reader) : [])
  const list = migrations.filter(({ name }) => applied.has(name))
  await rollback(db, list.length, list)
  await db.write('drop_schema', async (tx) => {
    for (const table of ['schema_version', 'schema_migrations', 'schema_migrations_lock']) {
      await tx.execute(`DROP TABLE IF EXISTS ${table}`)
    }
  })
}
