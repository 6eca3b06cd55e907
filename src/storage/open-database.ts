import type { Database } from './database.js'
import { openPostgresEngine, type PostgresConfig } from './postgres-database.js'
import { SqlDatabase, type DatabaseContext } from './sql-database.js'
import { openSqliteEngine, type SqliteConfig } from './sqlite-database.js'

export type DatabaseConfig = SqliteConfig | PostgresConfig

/**
 * Connects to a database, without looking at its schema (see `migrator.ts`). Rejects when it cannot be reached, or is
 * of a version that is too old.
 */
export async function openDatabase(config: DatabaseConfig, context: DatabaseContext): Promise<Database> {
  const engine =
    config.name === 'sqlite'
      ? await openSqliteEngine(config, context.logger)
      : await openPostgresEngine(config, context.logger)
  return new SqlDatabase(engine, context)
}
