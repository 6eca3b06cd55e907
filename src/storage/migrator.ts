import type { Knex } from 'knex'
import { migrations, type Migration } from '../../migrations/index.js'
import type { Database } from './database.js'
import { hasTable } from './has-table.js'
import { SqlDatabase } from './sql-database.js'

/** The version of the schema that this program writes; grows by one with every release that changes the schema. */
export const SCHEMA_VERSION = 1

/** The oldest program version (as its `SCHEMA_VERSION`) that can still work with what this one writes. */
const SCHEMA_COMPAT_VERSION = 1

/** A database that a newer program has changed so that this one cannot use it. */
export class IncompatibleSchemaError extends Error {
  override readonly name = 'IncompatibleSchemaError'
}

export interface MigrationStatus {
  /** Names of the steps taken, in order. */
  readonly applied: readonly string[]
  /** Names of those still to take. */
  readonly pending: readonly string[]
  /** What the database says of itself; undefined for a new one. */
  readonly schemaVersion: number | undefined
  readonly compatVersion: number | undefined
}

const TABLE = 'schema_migrations'

/**
 * Brings the schema up to date: takes the steps that are missing, each in a transaction of its own. Several processes
 * may try at once: one does it, the others wait for its lock and find nothing left to do. Throws an
 * `IncompatibleSchemaError` for a database that needs a newer program.
 * @param onStep called with the name of each step as it begins
 * @returns the names of the steps taken
 */
export async function migrate(
  db: Database,
  list: readonly Migration[] = migrations,
  onStep?: (name: string) => void,
): Promise<string[]> {
  const knex = migrationKnex(db)
  const status = await migrationStatus(db, list)
  refuseNewer(status)
  // As at most starts: a migrator need not be asked.
  if (isUpToDate(status)) return []
  const [, taken] = (await knex.migrate.latest(migratorConfig(list.map((step) => told(step, onStep))))) as [
    number,
    string[],
  ]
  await writeVersion(db, knex)
  return taken
}

/** Undoes the last `steps` migrations: for tests and development. */
export async function rollback(
  db: Database,
  steps: number,
  list: readonly Migration[] = migrations,
): Promise<void> {
  const knex = migrationKnex(db)
  for (let step = 0; step < steps; step++) await knex.migrate.down(migratorConfig(list))
}

/** What has been done and what is missing; changes nothing. */
export async function migrationStatus(
  db: Database,
  list: readonly Migration[] = migrations,
): Promise<MigrationStatus> {
  const version = await readVersion(db)
  const rows: { name: string }[] = (await hasTable(db.reader, TABLE))
    ? await db.reader.all(`SELECT name FROM ${TABLE} ORDER BY id`)
    : []
  const applied = rows.map((row) => row.name)
  const done = new Set(applied)
  return {
    applied,
    pending: list.map((migration) => migration.name).filter((name) => !done.has(name)),
    schemaVersion: version?.schema_version,
    compatVersion: version?.compat_version,
  }
}

/** Throws an `IncompatibleSchemaError` when only a newer program may use the database. */
export async function checkCompatible(db: Database): Promise<void> {
  const version = await readVersion(db)
  refuseNewer({ schemaVersion: version?.schema_version, compatVersion: version?.compat_version })
}

type Versions = Pick<MigrationStatus, 'schemaVersion' | 'compatVersion'>

function refuseNewer({ schemaVersion = 0, compatVersion = 0 }: Versions): void {
  if (compatVersion <= SCHEMA_VERSION) return
  throw new IncompatibleSchemaError(
    `The database has schema version ${schemaVersion}, which needs a program that knows at least version ` +
      `${compatVersion}; this one knows version ${SCHEMA_VERSION}. Run a newer version of mxhs.`,
  )
}

interface VersionRow {
  schema_version: number
  compat_version: number
}

function isUpToDate({ pending, schemaVersion = 0, compatVersion }: MigrationStatus): boolean {
  if (pending.length > 0 || schemaVersion < SCHEMA_VERSION) return false
  return schemaVersion > SCHEMA_VERSION || compatVersion === SCHEMA_COMPAT_VERSION
}

async function readVersion(db: Database): Promise<VersionRow | undefined> {
  if (!(await hasTable(db.reader, 'schema_version'))) return undefined
  return db.reader.first<VersionRow>('SELECT schema_version, compat_version FROM schema_version')
}

async function writeVersion(db: Database, knex: Knex): Promise<void> {
  if (!(await hasTable(db.reader, 'schema_version'))) {
    await knex.raw(
      'CREATE TABLE IF NOT EXISTS schema_version ' +
        '(one INTEGER PRIMARY KEY CHECK (one = 1), schema_version INTEGER NOT NULL, compat_version INTEGER NOT NULL)',
    )
  }
  await db.write('write_schema_version', async (tx) => {
    await tx.execute(
      `INSERT INTO schema_version (one, schema_version, compat_version) VALUES (1, ?, ?)
       ON CONFLICT (one) DO UPDATE SET schema_version = excluded.schema_version,
         compat_version = excluded.compat_version
       WHERE excluded.schema_version >= schema_version.schema_version`,
      [SCHEMA_VERSION, SCHEMA_COMPAT_VERSION],
    )
  })
}

function told(migration: Migration, onStep: ((name: string) => void) | undefined): Migration {
  if (onStep === undefined) return migration
  return {
    ...migration,
    up: (knex) => {
      onStep(migration.name)
      return migration.up(knex)
    },
  }
}

function migratorConfig(list: readonly Migration[]): Knex.MigratorConfig {
  return {
    tableName: TABLE,
    // Steps that only a newer program knows: whether this one can live with them, the versions say.
    disableMigrationsListValidation: true,
    migrationSource: {
      getMigrations: () => Promise.resolve([...list]),
      getMigrationName: (migration: Migration) => migration.name,
      getMigration: (migration: Migration) => Promise.resolve(migration),
    },
  }
}

function migrationKnex(db: Database): Knex {
  if (!(db instanceof SqlDatabase)) throw new TypeError('This kind of database has no schema of its own')
  return db.engine.migrationKnex
}
