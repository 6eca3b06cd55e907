import type { SqlConnection, SqlResult, SqlStatement } from './sql-connection.js'

/** A statement that was not run, because one before it in the same transaction had failed (its error is the cause). */
class RefusedStatementError extends Error {
  override readonly name = 'RefusedStatementError'
}

/**
 * The statements of one attempt at a transaction. The first that fails dooms it: what comes after is refused, as
 * PostgreSQL does, and the commit fails with that first error. So nobody has to await a statement only to learn of its
 * failure.
 */
export class TransactionScope {
  readonly #name: string
  /** The words that start the transaction. */
  readonly #begin: string
  readonly #connection: SqlConnection
  readonly #pending = new Set<Promise<unknown>>()
  readonly #aftermath = new WeakSet<Error>()
  #begun = false
  #closed = false
  /** Its COMMIT, or the one statement that it consists of, is on its way. */
  #ended = false
  /** The first statement's error. */
  failure: Error | undefined

  constructor({ name, begin, connection }: { name: string; begin: string; connection: SqlConnection }) {
    this.#name = name
    this.#begin = begin
    this.#connection = connection
  }

  /** Runs a statement of the callback's. Throws when the transaction has ended. */
  readonly send = (statement: SqlStatement): Promise<SqlResult> => {
    // Thrown here and now: a rejection that nobody awaits would hide that the statement was lost.
    if (this.#closed) throw new Error(`The transaction ${this.#name} has ended: a statement came too late`)
    if (!this.#begun) {
      this.#begun = true
      void this.#run({ sql: this.#begin, params: [], wants: 'changes' })
    }
    return this.#run({ ...statement, refuse: () => this.#refusal() })
  }

  /** Runs the last statement and commits. Alone, it is a transaction by itself. */
  sendLast(statement: SqlStatement): Promise<SqlResult> {
    if (this.#begun) {
      const result = this.send(statement)
      this.#end()
      return result
    }
    if (this.#closed) throw new Error(`The transaction ${this.#name} has ended: a statement came too late`)
    this.#closed = true
    this.#ended = true
    return this.#run(statement)
  }

  /** True for the error of a statement that failed only because one before it had. */
  isAftermath(error: unknown): boolean {
    return error instanceof Error && this.#aftermath.has(error)
  }

  /** Keeps the transaction from being committed. */
  doom(error: unknown): void {
    this.failure ??= error instanceof Error ? error : new Error(String(error))
  }

  /** Ends it, behind all statements on their way. Throws the error of the first statement that failed. */
  async commit(): Promise<void> {
    this.#end()
    await Promise.all(this.#pending)
    if (this.failure !== undefined) throw this.failure
  }

  /** Undoes it once the statements on their way are done. */
  async rollback(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#pending)
    if (!this.#begun) return
    await this.#connection.run({ sql: 'ROLLBACK', params: [], wants: 'changes' })
  }

  #end(): void {
    this.#closed = true
    if (this.#ended || !this.#begun) return
    this.#ended = true
    void this.#run({ sql: 'COMMIT', params: [], wants: 'changes', refuse: () => this.#refusal() })
  }

  #run(statement: SqlStatement): Promise<SqlResult> {
    const result = this.#connection.run(statement)
    const settled: Promise<void> = result.then(
      () => void this.#pending.delete(settled),
      (error: unknown) => {
        this.#pending.delete(settled)
        if (this.failure !== undefined && error instanceof Error) this.#aftermath.add(error)
        this.doom(error)
      },
    )
    this.#pending.add(settled)
    return result
  }

  #refusal(): Error | undefined {
    if (this.failure === undefined) return undefined
    const message = `Not run: the transaction ${this.#name} has failed before (${this.failure.message})`
    return new RefusedStatementError(message, { cause: this.failure })
  }
}
