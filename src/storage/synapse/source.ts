import type { Query } from '../database.js'
import { openDatabase, type DatabaseConfig } from '../open-database.js'
import { sqliteDialect } from '../dialect-sqlite.js'
import type { DatabaseContext } from '../sql-database.js'
import { SqlQuery } from '../sql-query.js'
import type { SqlStatement } from '../sql-connection.js'
import { SqliteConnection } from '../sqlite-connection.js'
import { readSourceSchema, type SourceSchema } from './schema.js'

/** The database of a Synapse as it is at one moment. Nothing can be written to it. */
export interface SynapseSource {
  readonly q: Query
  /** Where states are: the same, unless Synapse keeps them in a database of their own. */
  readonly states: Query
  readonly schema: SourceSchema
}

/** Where a Synapse keeps what it has. */
export interface SourceDatabases {
  readonly database: DatabaseConfig
  /** The database of states, where it is another one. */
  readonly statesDatabase?: DatabaseConfig | undefined
}

/**
 * Does something with the database of a Synapse, which may run meanwhile: `work` sees it as it was when it began, however
 * long it takes. It may run again where the connection was lost. Rejects when the database cannot be opened.
 *
 * States are written before the events that refer to them and do not change: a database of their own that is read as it
 * was a little later holds all that there is to find.
 */
export async function withSynapseSource<T>(
  { database, statesDatabase }: SourceDatabases,
  context: DatabaseContext,
  work: (source: SynapseSource) => Promise<T>,
): Promise<T> {
  return reading(database, context, async (q) => {
    const schema = await readSourceSchema(q)
    if (statesDatabase === undefined) return work({ q, schema, states: q })
    return reading(statesDatabase, context, (states) => work({ q, schema, states }))
  })
}

function reading<T>(
  config: DatabaseConfig,
  context: DatabaseContext,
  work: (q: Query) => Promise<T>,
): Promise<T> {
  return config.name === 'sqlite' ? readingFile(config.path, work) : readingServer(config, context, work)
}

async function readingServer<T>(
  config: DatabaseConfig,
  context: DatabaseContext,
  work: (q: Query) => Promise<T>,
): Promise<T> {
  const db = await openDatabase(config, context)
  try {
    return await db.read('takeover', work)
  } finally {
    await db.close()
  }
}

/** One connection that cannot write: opening the file in the ordinary way would change how it is kept. */
async function readingFile<T>(path: string, work: (q: Query) => Promise<T>): Promise<T> {
  const [{ default: sqlite3 }, { default: createKnex }] = await Promise.all([
    import('sqlite3'),
    import('knex'),
  ])
  const driver = await new Promise<InstanceType<typeof sqlite3.Database>>((resolve, reject) => {
    const opened = new sqlite3.Database(path, sqlite3.OPEN_READONLY, (error) => {
      if (error) reject(new Error(`Cannot open the SQLite database ${path}: ${error.message}`))
      else resolve(opened)
    })
  })
  const connection = new SqliteConnection(driver)
  const run = (sql: string): Promise<unknown> => connection.run({ sql, params: [], wants: 'changes' })
  try {
    await run('PRAGMA busy_timeout = 5000')
    await run('PRAGMA cache_size = -65536')
    await run('BEGIN')
    const support = {
      dialect: sqliteDialect,
      knex: createKnex({ client: 'sqlite3', useNullAsDefault: true }),
      insertSql: new Map<string, string>(),
    }
    const q = new SqlQuery(support, (statement: SqlStatement) => connection.run(statement))
    return await work(q)
  } finally {
    connection.finalize()
    await new Promise<void>((resolve) => {
      driver.close(() => {
        resolve()
      })
    })
  }
}
