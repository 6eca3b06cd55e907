import { LRUCache } from 'lru-cache'
import type { ClientBase, QueryConfig, QueryResult } from 'pg'
import type { Row } from './database.js'
import {
  bindValues,
  withStatement,
  type SqlConnection,
  type SqlResult,
  type SqlStatement,
} from './sql-connection.js'
import { numberPlaceholders } from './sql-text.js'

/** Statements with a name stay prepared on every connection for its life, so there is an end to names. */
const NAMES = 1000
const TEXTS_KEPT = 4000

interface PreparedText {
  readonly text: string
  name?: string
  uses: number
}

/** The statements of one database: their text as PostgreSQL wants it, and a name from their second use on. */
export class PostgresStatements {
  readonly #texts = new LRUCache<string, PreparedText>({ max: TEXTS_KEPT })
  #names = 0

  get({ sql, native = false }: SqlStatement): PreparedText {
    const key = native ? `\0${sql}` : sql
    let prepared = this.#texts.get(key)
    if (prepared === undefined) {
      prepared = { text: native ? sql : numberPlaceholders(sql), uses: 0 }
      this.#texts.set(key, prepared)
    }
    if (++prepared.uses > 1 && prepared.name === undefined && this.#names < NAMES) {
      prepared.name = `mxhs_${++this.#names}`
    }
    return prepared
  }
}

/** A PostgreSQL connection; the driver sends statements without waiting for the answers to those before. */
export class PostgresConnection implements SqlConnection {
  readonly #client: ClientBase
  readonly #statements: PostgresStatements

  constructor(client: ClientBase, statements: PostgresStatements) {
    this.#client = client
    this.#statements = statements
  }

  async run(statement: SqlStatement): Promise<SqlResult> {
    const refusal = statement.refuse?.()
    if (refusal) throw refusal
    const { name, text } = this.#statements.get(statement)
    const values = bindValues(statement.params)
    const config: QueryConfig = name === undefined ? { text, values } : { name, text, values }
    try {
      const result: QueryResult<Row> = await this.#client.query<Row>(config)
      return { rows: result.rows, changes: result.rowCount ?? 0 }
    } catch (error) {
      throw withStatement(error as Error, statement)
    }
  }
}
