import type { Database as Driver } from 'sqlite3'
import { sqliteDialect } from '../dialect-sqlite.js'
import { quoteName } from '../sql-text.js'
import type { SqlTx } from '../sql-query.js'
import { SqliteConnection } from '../sqlite-connection.js'
import { EventSearchStore } from '../stores/event-search.js'
import type { IndexDefinition, NumberSources, PortTarget, TargetTx } from './port-side.js'
import { jsonArrayOf } from './row-json.js'
import { SqliteSide, closeDriver, openDriver } from './sqlite-side.js'
import { isOwnTable, type TableShape } from './table-shape.js'
import { TargetTransactions, type TargetMethods } from './target-transactions.js'

const PRAGMAS = [
  'PRAGMA busy_timeout = 5000',
  'PRAGMA journal_mode = WAL',
  'PRAGMA synchronous = NORMAL',
  // In KiB: for the indexes that are made at the end.
  'PRAGMA cache_size = -131072',
  'PRAGMA wal_autocheckpoint = 4000',
  'PRAGMA journal_size_limit = 67108864',
]

/** A SQLite database that is filled. */
export class SqliteTarget extends SqliteSide implements PortTarget {
  readonly bulkForm = 'json'
  readonly #driver: Driver
  readonly #connection: SqliteConnection
  readonly #transactions: TargetTransactions

  private constructor(path: string, drivers: { reader: Driver; writer: Driver }) {
    super(path, drivers.reader)
    this.#driver = drivers.writer
    this.#connection = new SqliteConnection(drivers.writer)
    this.#transactions = new TargetTransactions(this.#connection, {
      dialect: sqliteDialect,
      methods: tableMethods,
    })
  }

  /** Opens a file whose schema is there already. */
  static async open(path: string): Promise<SqliteTarget> {
    const writer = await openDriver(path, 'write')
    const target = new SqliteTarget(path, { writer, reader: await openDriver(path, 'read') })
    for (const sql of PRAGMAS) await target.#connection.run({ sql, params: [], wants: 'rows' })
    return target
  }

  transaction<T>(name: string, work: (tx: TargetTx) => Promise<T>): Promise<T> {
    return this.#transactions.run(name, work)
  }

  async indexes(): Promise<readonly IndexDefinition[]> {
    const rows = await this.all<{ name: string; tbl_name: string; sql: string }>(
      `SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name`,
    )
    return rows
      .filter((row) => !isOwnTable(row.tbl_name))
      .map((row) => ({
        name: row.name,
        table: row.tbl_name,
        drop: `DROP INDEX ${quoteName(row.name)}`,
        create: row.sql,
      }))
  }

  async setNumbers(tx: TargetTx, { sequences, identities }: NumberSources): Promise<void> {
    await tx.execute('DELETE FROM id_counters')
    const counters = Object.entries(sequences).map(([name, value]) => ({ name, value }))
    await tx.insertMany('id_counters', counters, { columns: { name: 'text', value: 'integer' } })
    for (const [name, seq] of Object.entries(identities)) {
      await tx.execute('DELETE FROM sqlite_sequence WHERE name = ?', [name])
      await tx.execute('INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)', [name, seq])
    }
  }

  async settle(): Promise<void> {
    for (const sql of ['PRAGMA synchronous = FULL', 'PRAGMA wal_checkpoint(TRUNCATE)']) {
      await this.#connection.run({ sql, params: [], wants: 'rows' })
    }
  }

  override async close(): Promise<void> {
    await super.close()
    this.#connection.finalize()
    await closeDriver(this.#driver)
  }
}

function tableMethods(tx: SqlTx): TargetMethods {
  return {
    async insertRows(table, data, form) {
      if (data.length > 0) await tx.execute(insertSql(table), [jsonArrayOf(data, form, table)])
    },
    async insertWords(events) {
      await new EventSearchStore().add(tx, events)
    },
    async deleteRows(table, keys) {
      if (keys.length === 0) return
      const names = table.key.map(({ name }) => quoteName(name)).join(', ')
      const values = table.key.map(({ type }, index) =>
        type === 'text' ? `value ->> ${index}` : `CAST(value ->> ${index} AS INTEGER)`,
      )
      const list = JSON.stringify(keys.map((key) => key.map((part) => part.toString())))
      await tx.execute(
        `DELETE FROM ${quoteName(table.name)} WHERE (${names}) IN (SELECT ${values.join(', ')} FROM json_each(?))`,
        [list],
      )
    },
  }
}

/** Integers that come as texts become integers by their column's affinity. */
function insertSql({ name, columns }: TableShape): string {
  const names = columns.map((column) => quoteName(column.name)).join(', ')
  const values = columns.map(({ type }, index) =>
    type === 'bytes' ? `unhex(value ->> ${index})` : `value ->> ${index}`,
  )
  return `INSERT INTO ${quoteName(name)} (${names}) SELECT ${values.join(', ')} FROM jsonb_each(CAST(? AS TEXT))`
}
