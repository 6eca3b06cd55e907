import type { Knex } from 'knex'
import type { InsertOptions, Query, Row, SqlValue, Tx } from './database.js'
import type { Dialect, StatementGroup } from './dialect.js'
import type { SqlResult, SqlStatement } from './sql-connection.js'
import type { StatementTally } from './statement-tally.js'
import type { TransactionScope } from './transaction-scope.js'
import { chunkRows, insertKey, lastByKey, type InsertRow } from './insert-rows.js'

/** How much text one insert statement carries at most, roughly. */
const INSERT_CHARS = 8 * 1024 * 1024

/** What queries need beside a connection. */
export interface QuerySupport {
  readonly dialect: Dialect
  readonly knex: Knex
  /** SQL of inserts by table, columns and conflict. */
  readonly insertSql: Map<string, string>
  /** Where statements are counted; absent: nowhere. */
  readonly tally?: StatementTally
}

/** Reads, each statement handed to `send`. */
export class SqlQuery implements Query {
  readonly dialect: Dialect
  readonly knex: Knex
  readonly #tally: StatementTally | undefined
  readonly #send: (statement: SqlStatement) => Promise<SqlResult>

  constructor(support: QuerySupport, send: (statement: SqlStatement) => Promise<SqlResult>) {
    this.dialect = support.dialect
    this.knex = support.knex
    this.#tally = support.tally
    this.#send = send
  }

  get snapshotAt(): number {
    return performance.now()
  }

  all<T = Row>(sql: string, params: readonly SqlValue[] = []): Promise<T[]> {
    return this.derive({ sql, params, wants: 'rows' }, ({ rows }) => rows as T[])
  }

  first<T = Row>(sql: string, params: readonly SqlValue[] = []): Promise<T | undefined> {
    return this.derive({ sql, params, wants: 'rows' }, ({ rows }) => rows[0] as T | undefined)
  }

  run<T = Row>(builder: Knex.QueryBuilder): Promise<T[]> {
    const { sql, bindings } = builder.toSQL().toNative()
    const statement: SqlStatement = { sql, params: bindings as SqlValue[], wants: 'rows', native: true }
    return this.derive(statement, ({ rows }) => rows as T[])
  }

  protected derive<T>(statement: SqlStatement, pick: (result: SqlResult) => T): Promise<T> {
    return this.#send(statement).then((result) => {
      this.#tally?.count(statement, result)
      return pick(result)
    })
  }
}

/** Reads in a transaction, whose end reports what failed: no statement has to be awaited for that alone. */
export class TransactionQuery extends SqlQuery {
  readonly #beganAt = performance.now()

  override get snapshotAt(): number {
    return this.#beganAt
  }

  protected override derive<T>(statement: SqlStatement, pick: (result: SqlResult) => T): Promise<T> {
    return withoutAlarm(super.derive(statement, pick))
  }
}

/** Keeps an error that nobody awaits from being reported as unhandled; whoever awaits still gets it. */
function withoutAlarm<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}

/** What one attempt at a write wants to happen after its end. */
export interface TxHooks {
  readonly afterCommit: (() => void)[]
  readonly afterRollback: (() => void)[]
}

/** A write transaction's statements and hooks. */
export class SqlTx extends TransactionQuery implements Tx {
  readonly #support: QuerySupport
  readonly #scope: TransactionScope
  readonly #hooks: TxHooks

  constructor(support: QuerySupport, scope: TransactionScope, hooks: TxHooks) {
    super(support, scope.send)
    this.#support = support
    this.#scope = scope
    this.#hooks = hooks
  }

  execute(sql: string, params: readonly SqlValue[] = []): Promise<number> {
    return this.derive({ sql, params, wants: 'changes' }, ({ changes }) => changes)
  }

  executeLast({ sql, setUp }: StatementGroup, params: readonly SqlValue[]): Promise<void> {
    const statement = { sql, params, wants: 'changes' as const, ...(setUp !== undefined && { setUp }) }
    const done = this.#scope.sendLast(statement).then((result) => {
      this.#support.tally?.count(statement, result)
    })
    return withoutAlarm(done)
  }

  insertMany(
    table: string,
    rows: readonly Record<string, SqlValue>[],
    options: InsertOptions,
  ): Promise<void> {
    return withoutAlarm(this.#insertMany(table, rows, options))
  }

  afterCommit(fn: () => void): void {
    this.#hooks.afterCommit.push(fn)
  }

  afterRollback(fn: () => void): void {
    this.#hooks.afterRollback.push(fn)
  }

  /** Statements go out in this very turn, so that they keep their place. */
  async #insertMany(table: string, rows: readonly InsertRow[], options: InsertOptions): Promise<void> {
    if (rows.length === 0) return
    const sql = this.#insertSql(table, options)
    const chunks: Promise<number>[] = []
    try {
      for (const chunk of chunkRows(lastByKey(rows, options), INSERT_CHARS)) {
        chunks.push(this.execute(sql, this.#support.dialect.insertParams(chunk, options)))
      }
    } catch (error) {
      this.#scope.doom(error)
      throw error
    }
    await Promise.all(chunks)
  }

  #insertSql(table: string, options: InsertOptions): string {
    const key = insertKey(table, options)
    let sql = this.#support.insertSql.get(key)
    if (sql === undefined) {
      sql = this.#support.dialect.insertSql(table, options)
      this.#support.insertSql.set(key, sql)
    }
    return sql
  }
}
