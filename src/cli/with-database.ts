import type { DatabaseConfig } from '../config/sections/database.js'
import type { Database } from '../storage/database.js'
import { CommandFailure } from './failures.js'

/**
 * Does something with the database of a configuration, by itself: the server need not run, and may. `name` is for
 * people. Throws a `CommandFailure` when the database cannot be opened.
 */
export async function withDatabase<T>(
  paths: readonly string[],
  work: (db: Database, name: string) => Promise<T>,
): Promise<T> {
  const { loadConfig } = await import('../config/load.js')
  const { config } = await loadConfig(paths)
  const db = await openDatabaseOf(config.database)
  try {
    return await work(db, describeDatabase(config.database))
  } finally {
    await db.close()
  }
}

/** Opens it as commands do: without a log. Throws a `CommandFailure` where that cannot be. */
export async function openDatabaseOf(config: DatabaseConfig): Promise<Database> {
  const [{ openDatabase }, { silentLogger }, { createMetrics }, { systemClock }] = await Promise.all([
    import('../storage/open-database.js'),
    import('../telemetry/logger.js'),
    import('../telemetry/metrics.js'),
    import('../util/clock.js'),
  ])
  try {
    return await openDatabase(config, {
      logger: silentLogger(),
      metrics: createMetrics(),
      clock: systemClock,
    })
  } catch (error) {
    throw new CommandFailure((error as Error).message, { cause: error })
  }
}

/**
 * Makes sure that a database has the tables that this program reads: those of an empty one are made. Throws a
 * `CommandFailure` for one of an older program, which is not brought up to date in passing: its server may be running.
 */
export async function requireSchema(db: Database): Promise<void> {
  const { checkCompatible, migrate, migrationStatus } = await import('../storage/migrator.js')
  try {
    await checkCompatible(db)
  } catch (error) {
    throw new CommandFailure((error as Error).message, { cause: error })
  }
  const { applied, pending } = await migrationStatus(db)
  if (applied.length === 0) {
    await migrate(db)
  } else if (pending.length > 0) {
    throw new CommandFailure(
      `The database is that of an older mxhs (${pending.length} steps of its schema are missing): stop the server, and run mxhs db migrate or start the new one`,
    )
  }
}

/** Where the database is, without its password. */
export function describeDatabase(config: DatabaseConfig): string {
  if (config.name === 'sqlite') return `SQLite, ${config.path}`
  const { connection } = config
  if ('url' in connection) {
    const { host, pathname } = new URL(connection.url)
    return `PostgreSQL, ${host}${pathname}`
  }
  const { host = 'localhost', port, database = '' } = connection
  return `PostgreSQL, ${host}${port === undefined ? '' : `:${port}`}/${database}`
}
