import { randomUUID } from 'node:crypto'
import { closeSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import createKnex, { type Knex } from 'knex'
import type { Database as Driver } from 'sqlite3'
import type { Logger } from '../telemetry/logger.js'
import { sqliteDialect } from './dialect-sqlite.js'
import { KnexPool, knexLog } from './knex-pool.js'
import type { ConnectionLease } from './sql-connection.js'
import { Slots } from './slots.js'
import type { ConnectionUse, SqlEngine } from './sql-database.js'
import { SqliteCheckpoints } from './sqlite-checkpoints.js'
import { SqliteConnection } from './sqlite-connection.js'

export interface SqliteConfig {
  readonly name: 'sqlite'
  /** The file; `:memory:` stands for a file in the temporary directory that goes away at the end. */
  readonly path: string
  /** How many read at the same time; 4 by default, 2 at least. */
  readonly readers?: number
  /** `full` also survives the loss of power without losing the last commits; `normal` (default) never corrupts. */
  readonly synchronous?: 'normal' | 'full'
  /** So much of the file each connection has as its memory, in bytes; 256 MiB by default. */
  readonly mappedBytes?: number
}

const MAPPED_BYTES = 256 * 1024 * 1024

const BUSY_TIMEOUT_MS = 5_000
const ACQUIRE_TIMEOUT_MS = 60_000

const COMMON_PRAGMAS = [
  `PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`,
  'PRAGMA foreign_keys = ON',
  'PRAGMA temp_store = MEMORY',
]

const WRITER_PRAGMAS = [
  'PRAGMA journal_mode = WAL',
  // In KiB: the writer touches the indices of every table, again and again.
  'PRAGMA cache_size = -32768',
  // Pages of 4 KiB: who commits folds a log of 128 MiB back, should `SqliteCheckpoints` not keep up.
  'PRAGMA wal_autocheckpoint = 32000',
  'PRAGMA journal_size_limit = 67108864',
]

/** The connection of checkpoints reads no tables: what it copies goes past its own cache. */
const CHECKPOINT_PRAGMAS = ['PRAGMA cache_size = -64']

const READER_PRAGMAS = ['PRAGMA query_only = ON', 'PRAGMA cache_size = -16384']

/** What is said and who says it is nobody else's to read, whatever the process' mask: the log beside it follows suit. */
function makePrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch {
    // It is there already, or cannot be made: of that SQLite will tell.
  }
}

/**
 * Opens a SQLite database: one connection that writes, some that read. Readers see what was committed when they began,
 * and never wait for the writer.
 */
export async function openSqliteEngine(config: SqliteConfig, logger: Logger): Promise<SqlEngine> {
  const temporary = config.path === ':memory:'
  const path = temporary ? join(tmpdir(), `mxhs-${randomUUID()}.db`) : config.path
  makePrivateFile(path)
  const common = [...COMMON_PRAGMAS, `PRAGMA mmap_size = ${config.mappedBytes ?? MAPPED_BYTES}`]
  const synchronous = `PRAGMA synchronous = ${config.synchronous === 'full' ? 'FULL' : 'NORMAL'}`
  const writer = createPool(path, 1, [...common, ...WRITER_PRAGMAS, synchronous], logger)
  const count = Math.max(2, config.readers ?? 4)
  const readers = createPool(path, count, [...common, ...READER_PRAGMAS], logger)
  const checkpoints = createPool(path, 1, [...common, ...CHECKPOINT_PRAGMAS, synchronous], logger)
  const pools = { writer, readers, checkpoints, transactions: count - 1 }
  const engine = new SqliteEngine(pools, temporary ? path : undefined, logger)
  try {
    // The writer first: it makes the file and sets the journal mode that readers rely on.
    ;(await engine.acquire('write')).release()
    ;(await engine.acquire('statement')).release()
  } catch (error) {
    await engine.close()
    throw new Error(`Cannot open the SQLite database ${path}: ${(error as Error).message}`, { cause: error })
  }
  return engine
}

interface Pools {
  /** Of one connection. */
  readonly writer: Knex
  readonly readers: Knex
  /** Of one connection. */
  readonly checkpoints: Knex
  /** How many transactions that read run at the same time. */
  readonly transactions: number
}

class SqliteEngine implements SqlEngine {
  readonly dialect = sqliteDialect
  readonly builder = createKnex({ client: 'sqlite3', useNullAsDefault: true })
  readonly migrationKnex: Knex
  readonly beginRead = 'BEGIN'
  readonly beginWrite = 'BEGIN IMMEDIATE'
  readonly #writer: KnexPool<Driver>
  readonly #readers: KnexPool<Driver>
  /**
   * Transactions that read leave a connection to single statements, for which others may wait while they hold a
   * connection.
   */
  readonly #transactions: Slots
  readonly #checkpointer: KnexPool<Driver>
  readonly #checkpoints: SqliteCheckpoints
  readonly #connections = new Map<Driver, SqliteConnection>()
  readonly #temporaryPath: string | undefined

  constructor(pools: Pools, temporaryPath: string | undefined, logger: Logger) {
    this.migrationKnex = pools.writer
    this.#writer = new KnexPool(pools.writer)
    this.#readers = new KnexPool(pools.readers)
    this.#checkpointer = new KnexPool(pools.checkpoints)
    this.#transactions = new Slots(pools.transactions)
    this.#temporaryPath = temporaryPath
    this.#checkpoints = new SqliteCheckpoints({
      own: () => this.#lease(this.#checkpointer, () => undefined),
      writer: () => this.#lease(this.#writer, () => undefined),
      onFailure: (error) => {
        logger.warn({ err: error }, 'The log of the database could not be copied into its file')
      },
    })
  }

  async acquire(use: ConnectionUse): Promise<ConnectionLease> {
    if (use === 'write') {
      return this.#lease(this.#writer, () => {
        this.#checkpoints.committed()
      })
    }
    if (use === 'statement') return this.#lease(this.#readers, () => undefined)
    const free = await this.#transactions.take()
    try {
      return await this.#lease(this.#readers, free)
    } catch (error) {
      free()
      throw error
    }
  }

  async #lease(pool: KnexPool<Driver>, onRelease: () => void): Promise<ConnectionLease> {
    const driver = await pool.acquire()
    let connection = this.#connections.get(driver)
    if (connection === undefined) {
      connection = new SqliteConnection(driver)
      this.#connections.set(driver, connection)
    }
    return {
      connection,
      release: (broken = false) => {
        // A connection that is closed must not hold statements.
        if (broken) connection.finalize()
        pool.release(driver, broken)
        onRelease()
      },
    }
  }

  /** None: the driver itself has waited for the lock. */
  retryDelayMs(): number {
    return 0
  }

  /** SQLite ends a transaction by itself after some errors. */
  isHarmlessRollbackError(error: unknown): boolean {
    return error instanceof Error && error.message.includes('no transaction is active')
  }

  async close(): Promise<void> {
    await this.#checkpoints.close()
    for (const connection of this.#connections.values()) connection.finalize()
    await this.#readers.destroy()
    await this.#checkpointer.destroy()
    await this.#writer.destroy()
    if (this.#temporaryPath === undefined) return
    for (const suffix of ['', '-wal', '-shm']) rmSync(this.#temporaryPath + suffix, { force: true })
  }
}

function createPool(filename: string, size: number, pragmas: readonly string[], logger: Logger): Knex {
  return createKnex({
    client: 'sqlite3',
    useNullAsDefault: true,
    connection: { filename },
    log: knexLog(logger),
    acquireConnectionTimeout: ACQUIRE_TIMEOUT_MS,
    pool: {
      min: 0,
      max: size,
      // Connections stay for good: what they have prepared is worth more than the memory.
      idleTimeoutMillis: 2 ** 31 - 1,
      afterCreate: (driver: Driver, done: (error: Error | null) => void) => {
        driver.exec(pragmas.join(';'), (error) => {
          done(error)
        })
      },
    },
  })
}
