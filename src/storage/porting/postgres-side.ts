import type { Client } from 'pg'
import type { Row } from '../database.js'
import { postgresClientConfig, type PostgresConfig } from '../postgres-database.js'
import { quoteName } from '../sql-text.js'
import { cutRows } from './cut-rows.js'
import {
  BATCH_ROWS,
  countsSql,
  type NumberSources,
  type PortSide,
  type ReadOptions,
  type RowBatch,
  type RowForm,
} from './port-side.js'
import { readCatalog } from './read-catalog.js'
import { copyOptions, keyOf, type RowKey } from './row-text.js'
import { isOwnTable, type Catalog, type PortedColumn, type TableShape } from './table-shape.js'

const SESSION = [
  'SET statement_timeout = 0',
  'SET idle_in_transaction_session_timeout = 0',
  "SET bytea_output = 'hex'",
  // Rows are wanted in the order of an index: sorting them would take room on the disk, and time before the first.
  'SET enable_sort = off',
]

/** How porting is called in `pg_stat_activity`. */
const APPLICATION_NAME = 'mxhs port-db'

/** Where a PostgreSQL database is, and how a server that uses it would be called. */
export type PostgresPlace = Pick<PostgresConfig, 'connection' | 'applicationName'>

const LOOKS_FOR_SERVERS = 6
const LOOK_AGAIN_S = 0.25

/** A PostgreSQL database that is read. */
export class PostgresSide implements PortSide {
  readonly engine = 'postgres'
  readonly #client: Client
  readonly #serverName: string
  #textOrder: string | undefined

  protected constructor(client: Client, place: PostgresPlace) {
    this.#client = client
    this.#serverName = place.applicationName ?? 'mxhs'
  }

  /** Connects for reading one state of the database, that of now, whatever others write meanwhile. */
  static async openSource(place: PostgresPlace): Promise<PostgresSide> {
    const side = new PostgresSide(await connect(place), place)
    try {
      await side.all('SET default_transaction_read_only = on')
      await side.all('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await side.all('SELECT 1')
      return side
    } catch (error) {
      await side.close()
      throw error
    }
  }

  async migrations(): Promise<readonly string[] | undefined> {
    const [table] = await this.all<{ found: number }>(
      "SELECT COUNT(to_regclass('schema_migrations')) AS found",
    )
    if (table?.found !== 1) return undefined
    const rows = await this.all<{ name: string }>('SELECT name FROM schema_migrations ORDER BY id')
    return rows.map(({ name }) => name)
  }

  catalog(): Promise<Catalog> {
    return readCatalog(this.engine, (sql) => this.all(sql))
  }

  /** Whoever stops in the middle can only close the connection. */
  async *read(table: TableShape, options: ReadOptions = {}): AsyncGenerator<RowBatch> {
    const { form = 'text', after, batchRows = BATCH_ROWS } = options
    const { to } = (await import('pg-copy-streams')).default
    const stream = this.#client.query(to(await this.#readSql(table, form, after)))
    const keyOfRow = form === 'text' ? keyOf : keyOfJson
    for await (const { data, rows, lastRow } of cutRows(stream, form, batchRows)) {
      yield { data, rows, last: keyOfRow(lastRow, table) }
    }
  }

  async #readSql(table: TableShape, form: RowForm, after: RowKey | undefined): Promise<string> {
    const order = await this.#textOrderClause()
    const part = ({ name, type }: PortedColumn): string => `${quoteName(name)}${type === 'text' ? order : ''}`
    const key = table.key.map(part).join(', ')
    const fields =
      form === 'json'
        ? `json_build_array(${table.columns.map(jsonField).join(', ')})::text || ','`
        : table.columns.map(({ name }) => quoteName(name)).join(', ')
    const values = after?.map((value, index) => this.#literal(value, table.key[index]!)).join(', ')
    const where = values === undefined ? '' : `WHERE (${key}) > (${values}) `
    const rows = `SELECT ${fields} FROM ${quoteName(table.name)} ${where}ORDER BY ${key}`
    const options = form === 'text' ? copyOptions(table, 'TO') : copyOptions(JSON_SHAPE, 'TO')
    return `COPY (${rows}) TO STDOUT ${form === 'json' ? options.replace(', FORCE_QUOTE *', '') : options}`
  }

  #literal(value: Buffer, { type }: PortedColumn): string {
    const text = value.toString()
    if (type === 'text') return this.#client.escapeLiteral(text)
    return String(BigInt(text))
  }

  /** Texts are ordered byte by byte, as SQLite does; where the database does so itself, its indexes are of use. */
  async #textOrderClause(): Promise<string> {
    if (this.#textOrder === undefined) {
      const [row] = await this.all<{ bytewise: number }>(
        `SELECT datcollate IN ('C', 'POSIX') AND COALESCE(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c' AS bytewise
         FROM pg_database d WHERE datname = current_database()`,
      )
      this.#textOrder = row?.bytewise === 1 ? '' : ' COLLATE "C"'
    }
    return this.#textOrder
  }

  async all<T = Row>(sql: string): Promise<T[]> {
    return (await this.#client.query<T & Row>(sql)).rows
  }

  async counts(tables: readonly TableShape[]): Promise<ReadonlyMap<string, number>> {
    const rows = await this.all<{ name: string; n: number }>(countsSql(tables))
    return new Map(rows.map(({ name, n }) => [name, n]))
  }

  async sizes(): Promise<ReadonlyMap<string, number>> {
    const rows = await this.all<{ name: string; size: number }>(
      `SELECT relname AS name, pg_total_relation_size(oid) AS size FROM pg_class
       WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'`,
    )
    return new Map(rows.map(({ name, size }) => [name, size]))
  }

  async numbers(): Promise<NumberSources> {
    const rows = await this.all<{ name: string; owner: string | null }>(
      `SELECT s.relname AS name, t.relname AS owner
       FROM pg_class s LEFT JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass
           AND d.deptype IN ('a', 'i')
         LEFT JOIN pg_class t ON t.oid = d.refobjid
       WHERE s.relkind = 'S' AND s.relnamespace = current_schema()::regnamespace`,
    )
    const numbers = { sequences: {} as Record<string, number>, identities: {} as Record<string, number> }
    for (const { name, owner } of rows.filter((row) => row.owner === null || !isOwnTable(row.owner))) {
      const [row] = await this.all<{ last: number }>(
        `SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS last FROM ${quoteName(name)}`,
      )
      if (owner === null) numbers.sequences[name] = row?.last ?? 0
      else if (row !== undefined && row.last > 0) numbers.identities[owner] = row.last
    }
    return numbers
  }

  /** Servers, by the name with which they connect: others may look on. */
  async otherUsers(): Promise<string | undefined> {
    let backend = await this.#serverBackend()
    // A server that has just stopped is seen for a moment after its last connection is closed.
    for (let look = 1; backend !== undefined && look < LOOKS_FOR_SERVERS; look++) {
      await this.all(`SELECT pg_sleep(${LOOK_AGAIN_S})`)
      backend = await this.#serverBackend()
    }
    return backend === undefined
      ? undefined
      : `a server is connected to the database (application_name ${this.#serverName}, backend ${backend})`
  }

  async #serverBackend(): Promise<number | undefined> {
    await this.all('SELECT pg_stat_clear_snapshot()')
    const [row] = await this.all<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
         AND application_name = ${this.#client.escapeLiteral(this.#serverName)} LIMIT 1`,
    )
    return row?.pid
  }

  async changeMark(): Promise<string> {
    await this.all('SELECT pg_stat_clear_snapshot()')
    const [row] = await this.all<{ mark: string }>(
      `SELECT COALESCE(SUM(n_tup_ins + n_tup_upd + n_tup_del), 0)::text AS mark FROM pg_stat_user_tables
       WHERE schemaname = current_schema()`,
    )
    return row?.mark ?? ''
  }

  async close(): Promise<void> {
    await this.#client.end()
  }
}

/** A connection of porting's own. Rejects when the database cannot be reached. */
export async function connect(place: PostgresPlace): Promise<Client> {
  const { default: pg } = await import('pg')
  const config = await postgresClientConfig({ name: 'postgres', ...place, applicationName: APPLICATION_NAME })
  const client = new pg.Client({ ...config, statement_timeout: 0, ...{ pipeline: false } })
  try {
    await client.connect()
    // An end in the middle shows in the statement that is running; this one would end the process.
    client.on('error', () => undefined)
    for (const statement of SESSION) await client.query(statement)
    return client
  } catch (error) {
    await client.end().catch(() => undefined)
    throw new Error(`Cannot use the PostgreSQL database: ${(error as Error).message}`, { cause: error })
  }
}

const JSON_SHAPE: TableShape = { name: 'json', columns: [{ name: 'row', type: 'text' }], key: [] }

function jsonField({ name, type }: PortedColumn): string {
  return type === 'bytes' ? `encode(${quoteName(name)}, 'hex')` : quoteName(name)
}

/** Of a row as JSON with a comma behind it. */
function keyOfJson(row: Buffer, table: TableShape): RowKey {
  const fields = JSON.parse(row.toString().trimEnd().slice(0, -1)) as (string | number)[]
  return table.key.map((column) => {
    const value = fields[table.columns.indexOf(column)]
    if (typeof value === 'number' && !Number.isSafeInteger(value)) {
      throw new Error(`${table.name} has a key that is larger than this program counts`)
    }
    return Buffer.from(String(value))
  })
}
