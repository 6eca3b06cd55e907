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
  // Pages of 4 KiB: the log is folded back at 16 MiB, and cut to 64 MiB if a long read let it grow.
  'PRAGMA wal_autocheckpoint = 4000',
  'PRAGMA journal_size_limit = 67108864',
]

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
  const knex = createPool(path, count, [...common, ...READER_PRAGMAS], logger)
  const engine = new SqliteEngine(writer, { knex, count }, temporary ? path : undefined)
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
  readonly #connections = new Map<Driver, SqliteConnection>()
  readonly #temporaryPath: string | undefined

  constructor(writer: Knex, readers: { knex: Knex; count: number }, temporaryPath: string | undefined) {
    this.migrationKnex = writer
    this.#writer = new KnexPool(writer)
    this.#readers = new KnexPool(readers.knex)
    this.#transactions = new Slots(readers.count - 1)
    this.#temporaryPath = temporaryPath
  }

  async acquire(use: ConnectionUse): Promise<ConnectionLease> {
    if (use === 'write') return this.#lease(this.#writer, () => undefined)
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
    for (const connection of this.#connections.values()) connection.finalize()
    await this.#readers.destroy()
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
