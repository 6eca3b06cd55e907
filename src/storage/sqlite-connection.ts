import { LRUCache } from 'lru-cache'
import type { Database as Driver, Statement as DriverStatement } from 'sqlite3'
import type { Row } from './database.js'
import {
  bindValues,
  withStatement,
  type SqlConnection,
  type SqlResult,
  type SqlStatement,
} from './sql-connection.js'

/** Prepared statements kept per connection. */
const STATEMENTS_KEPT = 400

type Settle = (error: Error | null | undefined, result?: SqlResult) => void

interface Job {
  readonly statement: SqlStatement
  resolve(result: SqlResult): void
  reject(error: Error): void
}

/**
 * A SQLite connection. It keeps its own queue, because the driver runs statements of one connection in any order (or, in
 * its serialized mode, forgets those behind one that cannot be prepared).
 */
export class SqliteConnection implements SqlConnection {
  readonly #driver: Driver
  readonly #prepared = new LRUCache<string, DriverStatement>({
    max: STATEMENTS_KEPT,
    dispose: (statement) => statement.finalize(),
  })
  readonly #setUps = new Set<string>()
  readonly #jobs: Job[] = []
  #next = 0
  #busy = false

  constructor(driver: Driver) {
    this.#driver = driver
  }

  run(statement: SqlStatement): Promise<SqlResult> {
    return new Promise((resolve, reject) => {
      this.#jobs.push({ statement, resolve, reject })
      if (!this.#busy) this.#pump()
    })
  }

  /** Lets go of the prepared statements: a connection that has any cannot be closed. */
  finalize(): void {
    this.#prepared.clear()
  }

  #pump(): void {
    const job = this.#jobs[this.#next++]
    if (job === undefined) {
      this.#jobs.length = 0
      this.#next = 0
      this.#busy = false
      return
    }
    this.#busy = true
    const settle: Settle = (error, result) => {
      if (error) {
        job.reject(withStatement(error, job.statement))
        // Whoever has the statements behind it refused must have heard of the error first.
        setImmediate(() => {
          this.#pump()
        })
        return
      }
      if (result) job.resolve(result)
      this.#pump()
    }
    const refusal = job.statement.refuse?.()
    if (refusal) {
      // Not in this turn: a long queue of refused statements must not grow the stack.
      setImmediate(settle, refusal)
      return
    }
    this.#start(job.statement, settle)
  }

  #start(statement: SqlStatement, settle: Settle): void {
    let params
    try {
      params = bindValues(statement.params)
    } catch (error) {
      setImmediate(settle, error as Error)
      return
    }
    const known = this.#prepared.get(statement.sql)
    if (known) {
      execute(known, statement, params, settle)
      return
    }
    const { setUp } = statement
    if (setUp === undefined || this.#setUps.has(setUp)) {
      this.#prepare(statement, params, settle)
      return
    }
    this.#driver.exec(setUp, (error) => {
      if (error) {
        settle(error)
        return
      }
      this.#setUps.add(setUp)
      this.#prepare(statement, params, settle)
    })
  }

  #prepare(statement: SqlStatement, params: readonly unknown[], settle: Settle): void {
    const prepared: DriverStatement = this.#driver.prepare(statement.sql, (error) => {
      if (error) {
        settle(error)
        return
      }
      this.#prepared.set(statement.sql, prepared)
      execute(prepared, statement, params, settle)
    })
  }
}

function execute(
  prepared: DriverStatement,
  statement: SqlStatement,
  params: readonly unknown[],
  settle: Settle,
): void {
  if (statement.wants === 'rows') {
    prepared.all<Row>(params, (error, rows) => {
      settle(error, { rows, changes: 0 })
    })
    return
  }
  prepared.run(params, function (error) {
    settle(error, { rows: [], changes: error ? 0 : this.changes })
  })
}
