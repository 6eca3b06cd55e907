import type { Counter, Metrics } from '../telemetry/metrics.js'
import type { SqlResult, SqlStatement } from './sql-connection.js'

/** Counts the statements that have been run and the rows that they gave. BEGIN, COMMIT and ROLLBACK are not among them. */
export class StatementTally {
  readonly #reads: Counter
  readonly #rows: Counter
  readonly #writes: Counter

  constructor(metrics: Metrics) {
    this.#reads = metrics.counter({
      name: 'mxhs_storage_reads_total',
      help: 'Statements that were asked for rows',
    })
    this.#rows = metrics.counter({
      name: 'mxhs_storage_rows_read_total',
      help: 'Rows that statements gave',
    })
    this.#writes = metrics.counter({
      name: 'mxhs_storage_writes_total',
      help: 'Statements that were to change rows',
    })
  }

  /** Counts a statement that has succeeded. */
  count({ wants }: SqlStatement, { rows }: SqlResult): void {
    if (wants === 'changes') {
      this.#writes.inc()
      return
    }
    this.#reads.inc()
    if (rows.length > 0) this.#rows.inc(undefined, rows.length)
  }
}
