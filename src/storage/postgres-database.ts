import createKnex, { type Knex } from 'knex'
import type { Client, ClientConfig } from 'pg'
import type { Logger } from '../telemetry/logger.js'
import { backoffMs } from '../util/backoff.js'
import { postgresDialect } from './dialect-postgres.js'
import { KnexPool, knexLog } from './knex-pool.js'
import { PostgresConnection, PostgresStatements } from './postgres-connection.js'
import type { ConnectionLease } from './sql-connection.js'
import { Slots } from './slots.js'
import type { ConnectionUse, SqlEngine } from './sql-database.js'

export interface PostgresConfig {
  readonly name: 'postgres'
  /** Where and as whom: a URL, or the parts of one as node-postgres names them; libpq's variables fill the gaps. */
  readonly connection:
    { readonly url: string } | Pick<ClientConfig, 'host' | 'port' | 'user' | 'password' | 'database' | 'ssl'>
  /** Connections at most; 10 by default, 3 at least. */
  readonly poolMax?: number
  /** After which time the server gives up on a statement; an hour by default. */
  readonly statementTimeoutMs?: number
  /** Shown in `pg_stat_activity`. */
  readonly applicationName?: string
  /** `off`: a commit does not wait for the disk. */
  readonly synchronousCommit?: 'on' | 'off'
}

const HOUR_MS = 3_600_000
const ACQUIRE_TIMEOUT_MS = 60_000
const CONNECT_TIMEOUT_MS = 20_000
const MIN_VERSION = 140000

/** Type OIDs whose values come in another form than the driver's own. */
const BOOL = 16
const INT8 = 20
const JSON_TEXT = 114
const NUMERIC = 1700
const JSONB = 3802

/** Opens a PostgreSQL database. */
export async function openPostgresEngine(config: PostgresConfig, logger: Logger): Promise<SqlEngine> {
  const poolMax = Math.max(3, config.poolMax ?? 10)
  const knex = createKnex({
    client: 'pg',
    connection: { ...(await postgresClientConfig(config)) } as Knex.PgConnectionConfig,
    log: knexLog(logger),
    acquireConnectionTimeout: ACQUIRE_TIMEOUT_MS,
    pool: { min: 0, max: poolMax },
  })
  const engine = new PostgresEngine(knex, poolMax)
  try {
    await engine.checkVersion()
  } catch (error) {
    await engine.close()
    throw new Error(`Cannot use the PostgreSQL database: ${(error as Error).message}`, { cause: error })
  }
  return engine
}

class PostgresEngine implements SqlEngine {
  readonly dialect = postgresDialect
  readonly builder = createKnex({ client: 'pg' })
  readonly migrationKnex: Knex
  readonly beginRead = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'
  readonly beginWrite = 'BEGIN ISOLATION LEVEL REPEATABLE READ'
  readonly #pool: KnexPool<Client>
  readonly #connections = new WeakMap<Client, PostgresConnection>()
  readonly #statements = new PostgresStatements()
  /**
   * Writers leave connections to readers: what a write transaction reads beside itself must not wait for it. And all
   * transactions leave one to single statements, whose results they may wait for.
   */
  readonly #transactions: Readonly<Record<'read' | 'write', Slots>>

  constructor(knex: Knex, poolMax: number) {
    this.migrationKnex = knex
    this.#pool = new KnexPool(knex)
    const writers = Math.floor((poolMax - 1) / 2)
    this.#transactions = { write: new Slots(writers), read: new Slots(poolMax - 1 - writers) }
  }

  /** Rejects when the server cannot be reached, is too old, or keeps text in another encoding than UTF-8. */
  async checkVersion(): Promise<void> {
    const lease = await this.acquire('statement')
    try {
      const { rows } = await lease.connection.run({
        sql: `SELECT current_setting('server_version_num') AS version, current_setting('server_encoding') AS encoding`,
        params: [],
        wants: 'rows',
      })
      const { version, encoding } = rows[0] as { version: string; encoding: string }
      if (Number(version) < MIN_VERSION) throw new Error(`version ${MIN_VERSION / 10_000} or later is needed`)
      if (encoding !== 'UTF8') throw new Error(`its encoding is ${encoding}, but UTF8 is needed`)
    } finally {
      lease.release()
    }
  }

  async acquire(use: ConnectionUse): Promise<ConnectionLease> {
    if (use === 'statement') return this.#lease(() => undefined)
    const free = await this.#transactions[use].take()
    try {
      return await this.#lease(free)
    } catch (error) {
      free()
      throw error
    }
  }

  async #lease(onRelease: () => void): Promise<ConnectionLease> {
    const client = await this.#pool.acquire()
    let connection = this.#connections.get(client)
    if (connection === undefined) {
      connection = new PostgresConnection(client, this.#statements)
      this.#connections.set(client, connection)
    }
    return {
      connection,
      release: (broken = false) => {
        this.#pool.release(client, broken)
        onRelease()
      },
    }
  }

  retryDelayMs(failures: number): number {
    return backoffMs(failures, { baseMs: 5, maxMs: 200, jitter: 1 })
  }

  /** None: a ROLLBACK outside a transaction is only a warning. */
  isHarmlessRollbackError(): boolean {
    return false
  }

  close(): Promise<void> {
    return this.#pool.destroy()
  }
}

/** How a connection is made, and in which form its values come. */
export async function postgresClientConfig(config: PostgresConfig): Promise<ClientConfig> {
  const { default: pg } = await import('pg')
  const address = 'url' in config.connection ? { connectionString: config.connection.url } : config.connection
  const options = config.synchronousCommit === 'off' ? { options: '-c synchronous_commit=off' } : {}
  return {
    ...address,
    ...options,
    application_name: config.applicationName ?? 'mxhs',
    statement_timeout: config.statementTimeoutMs ?? HOUR_MS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    // Statements are sent without waiting for the answers to those before.
    ...{ pipeline: true },
    types: { getTypeParser: parserFor as typeof pg.types.getTypeParser },
  }

  function parserFor(oid: number, format: 'text' | 'binary' = 'text'): unknown {
    if (oid === INT8 || oid === NUMERIC) return Number
    if (oid === BOOL) return (value: string) => (value === 't' ? 1 : 0)
    if (oid === JSON_TEXT || oid === JSONB) return (value: string) => value
    const known = pg.types.getTypeParser as unknown as (id: number, as: string) => unknown
    return known(oid, format)
  }
}
