import type { Knex } from 'knex'
import type { Counter, Histogram, Metrics } from '../telemetry/metrics.js'
import type { Logger } from '../telemetry/logger.js'
import type { Clock } from '../util/clock.js'
import type { Database, Query, Tx } from './database.js'
import type { ConnectionLease, SqlResult, SqlStatement } from './sql-connection.js'
import type { Dialect } from './dialect.js'
import { SqlQuery, SqlTx, TransactionQuery, type QuerySupport, type TxHooks } from './sql-query.js'
import { StatementTally } from './statement-tally.js'
import { TransactionScope } from './transaction-scope.js'

/** How often a transaction that the database turned away is tried in all. */
const ATTEMPTS = 5

/** What a database needs of the server. */
export interface DatabaseContext {
  readonly logger: Logger
  readonly metrics: Metrics
  readonly clock: Clock
}

/** What a connection is for: one statement that reads, or a transaction. */
export type ConnectionUse = 'statement' | 'read' | 'write'

/** One kind of database: its connections and the words that frame a transaction. */
export interface SqlEngine {
  readonly dialect: Dialect
  /** Builds statements; has no connections. */
  readonly builder: Knex
  /** The instance that migrations run on. */
  readonly migrationKnex: Knex
  readonly beginRead: string
  readonly beginWrite: string
  /** Single statements never wait for transactions to end: their results may be what those wait for. */
  acquire(use: ConnectionUse): Promise<ConnectionLease>
  /** How long to wait before a transaction is tried again, after so many failures. */
  retryDelayMs(failures: number): number
  /** True for a failed ROLLBACK that leaves the connection usable. */
  isHarmlessRollbackError(error: unknown): boolean
  close(): Promise<void>
}

/** A database of either kind: transactions, retries, hooks and measurements. */
export class SqlDatabase implements Database {
  readonly dialect: Dialect
  readonly reader: Query
  readonly engine: SqlEngine
  readonly #context: DatabaseContext
  readonly #support: QuerySupport
  readonly #running = new Set<Promise<unknown>>()
  readonly #transactionTime: Histogram
  readonly #scheduleTime: Histogram
  readonly #retries: Counter
  #closing: Promise<void> | undefined

  constructor(engine: SqlEngine, context: DatabaseContext) {
    this.engine = engine
    this.#context = context
    this.dialect = engine.dialect
    const tally = new StatementTally(context.metrics)
    this.#support = { dialect: engine.dialect, knex: engine.builder, insertSql: new Map(), tally }
    this.reader = new SqlQuery(this.#support, (statement) => this.#track(this.#single(statement)))
    this.#transactionTime = context.metrics.histogram({
      name: 'synapse_storage_transaction_time',
      help: 'Seconds that transactions took, from their begin to their end',
    })
    this.#retries = context.metrics.counter({
      name: 'mxhs_storage_transaction_retries_total',
      help: 'How often the database turned a transaction away and it was tried again',
    })
    this.#scheduleTime = context.metrics.histogram({
      name: 'synapse_storage_schedule_time',
      help: 'Seconds that transactions waited for a connection',
    })
  }

  read<T>(name: string, fn: (q: Query) => Promise<T>): Promise<T> {
    return this.#track(this.#retrying(name, () => this.#readOnce(name, fn)))
  }

  write<T>(name: string, fn: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#track(this.#retrying(name, () => this.#writeOnce(name, fn)))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#running)
    await this.engine.close()
  }

  #track<T>(work: Promise<T>): Promise<T> {
    const done = (): void => void this.#running.delete(work)
    this.#running.add(work)
    work.then(done, done)
    return work
  }

  async #acquire(use: ConnectionUse): Promise<ConnectionLease> {
    if (this.#closing) throw new Error('The database is closed')
    const started = performance.now()
    const lease = await this.engine.acquire(use)
    this.#scheduleTime.observe((performance.now() - started) / 1000)
    return lease
  }

  async #single(statement: SqlStatement): Promise<SqlResult> {
    const lease = await this.#acquire('statement')
    try {
      return await lease.connection.run(statement)
    } finally {
      lease.release()
    }
  }

  async #retrying<T>(name: string, attempt: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await attempt()
      } catch (error) {
        if (failures >= ATTEMPTS || !this.dialect.isRetryable(error)) throw error
        this.#retries.inc({ desc: name })
        this.#context.logger.debug({ err: error, transaction: name, failures }, 'Retrying a transaction')
        const delayMs = this.engine.retryDelayMs(failures)
        if (delayMs > 0) await this.#context.clock.sleep(delayMs)
      }
    }
  }

  async #readOnce<T>(name: string, fn: (q: Query) => Promise<T>): Promise<T> {
    return this.#framed(name, 'read', async (scope) => {
      const result = await fn(new TransactionQuery(this.#support, scope.send))
      return { result, hooks: NO_HOOKS }
    })
  }

  async #writeOnce<T>(name: string, fn: (tx: Tx) => Promise<T>): Promise<T> {
    const hooks: TxHooks = { afterCommit: [], afterRollback: [] }
    try {
      return await this.#framed(name, 'write', async (scope) => {
        const result = await fn(new SqlTx(this.#support, scope, hooks))
        return { result, hooks: hooks.afterCommit }
      })
    } catch (error) {
      this.#runHooks(name, hooks.afterRollback)
      throw error
    }
  }

  /** One attempt: BEGIN, the callback, COMMIT and the hooks; or ROLLBACK and the error that caused it. */
  async #framed<T>(
    name: string,
    kind: 'read' | 'write',
    fn: (scope: TransactionScope) => Promise<{ result: T; hooks: readonly (() => void)[] }>,
  ): Promise<T> {
    const lease = await this.#acquire(kind)
    const started = performance.now()
    const begin = kind === 'read' ? this.engine.beginRead : this.engine.beginWrite
    const scope = new TransactionScope({ name, begin, connection: lease.connection })
    let broken = false
    try {
      const { result, hooks } = await fn(scope)
      await scope.commit()
      this.#runHooks(name, hooks)
      return result
    } catch (error) {
      broken = !(await this.#rollback(scope))
      throw causeOf(error, scope, this.dialect)
    } finally {
      lease.release(broken)
      this.#transactionTime.observe((performance.now() - started) / 1000, { desc: name })
    }
  }

  /** False when nobody knows whether the connection is still in the transaction. */
  async #rollback(scope: TransactionScope): Promise<boolean> {
    try {
      await scope.rollback()
      return true
    } catch (error) {
      if (this.engine.isHarmlessRollbackError(error)) return true
      this.#context.logger.warn({ err: error }, 'A transaction could not be rolled back')
      return false
    }
  }

  #runHooks(name: string, hooks: readonly (() => void)[]): void {
    for (const hook of hooks) {
      try {
        hook()
      } catch (error) {
        this.#context.logger.error({ err: error, transaction: name }, 'A hook of a transaction failed')
      }
    }
  }
}

const NO_HOOKS: readonly (() => void)[] = []

/**
 * The error that a failed attempt ends with: that of the statement which doomed it, unless the callback made another
 * one of it. An error after which the whole is tried again goes before all.
 */
function causeOf(thrown: unknown, scope: TransactionScope, dialect: Dialect): unknown {
  const { failure } = scope
  if (failure === undefined) return thrown
  return dialect.isRetryable(failure) || scope.isAftermath(thrown) ? failure : thrown
}
