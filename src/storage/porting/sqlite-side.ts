import { isUtf8 } from 'node:buffer'
import { stat, readFile } from 'node:fs/promises'
import type { Database as Driver } from 'sqlite3'
import type { Row, SqlValue } from '../database.js'
import { SqliteConnection } from '../sqlite-connection.js'
import {
  BATCH_BYTES,
  BATCH_ROWS,
  countsSql,
  type NumberSources,
  type PortSide,
  type ReadOptions,
  type RowBatch,
} from './port-side.js'
import {
  CARRIAGE_RETURN,
  DELIMITER,
  LINE_FEED,
  NULL_TEXT,
  QUOTE,
  compareKeys,
  describeKey,
  fieldsOf,
  hasOneText,
  keyOf,
} from './row-text.js'
import { readCatalog } from './read-catalog.js'
import { rowSql, type RowSql } from './sqlite-row-sql.js'
import { isOwnTable, type Catalog, type TableShape } from './table-shape.js'

/** The first batch of a table; then they double until they are as large as they are to be. */
const FIRST_ROWS = 250
const SPACE = 0x20

/** What the statements of `rowSql` give. */
interface PlainRows {
  data: Buffer | null
  rows: number
  misfits: number | null
  nulls: number | null
}

/** A SQLite database that is read through a connection that cannot write. */
export class SqliteSide implements PortSide {
  readonly engine = 'sqlite'
  readonly path: string
  readonly #driver: Driver
  readonly #connection: SqliteConnection

  protected constructor(path: string, driver: Driver) {
    this.path = path
    this.#driver = driver
    this.#connection = new SqliteConnection(driver)
  }

  /**
   * Opens a file that is there. What is read is one state of the database, that of the first statement, whatever others
   * write meanwhile.
   */
  static async openSource(path: string): Promise<SqliteSide> {
    const side = new SqliteSide(path, await openDriver(path, 'read'))
    try {
      const [row] = await side.all<{ encoding: string }>('PRAGMA encoding')
      if (row?.encoding !== 'UTF-8') throw new Error(`${path} keeps text in another encoding than UTF-8`)
      await side.all('BEGIN')
      await side.all('SELECT COUNT(*) FROM sqlite_schema')
      return side
    } catch (error) {
      await side.close()
      throw error
    }
  }

  async migrations(): Promise<readonly string[] | undefined> {
    const [found] = await this.all("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'")
    if (found === undefined) return undefined
    const rows = await this.all<{ name: string }>('SELECT name FROM schema_migrations ORDER BY id')
    return rows.map(({ name }) => name)
  }

  catalog(): Promise<Catalog> {
    return readCatalog(this.engine, (sql) => this.all(sql))
  }

  async *read(table: TableShape, options: ReadOptions = {}): AsyncGenerator<RowBatch> {
    if (options.form === 'json') throw new Error('SQLite gives rows as text')
    const most = Math.min(options.batchRows ?? BATCH_ROWS, BATCH_ROWS)
    let limit = Math.min(FIRST_ROWS, most)
    for (let after = options.after; ;) {
      const sql = rowSql(table, after === undefined ? 'beginning' : 'key')
      const batch = await this.#batch(table, { sql, params: [...(after ?? []), limit], options })
      if (batch === undefined) return
      if (after !== undefined && compareKeys(batch.last, after, table) <= 0) {
        throw new Error(`${table.name} has a key that is not in order: ${describeKey(batch.last, table)}`)
      }
      yield batch
      after = batch.last
      const size = Math.max(1, batch.data.length / Math.max(1, batch.rows))
      limit = Math.max(1, Math.min(most, limit * 2, Math.floor(BATCH_BYTES / size)))
    }
  }

  async #batch(
    table: TableShape,
    { sql, params, options }: { sql: RowSql; params: readonly SqlValue[]; options: ReadOptions },
  ): Promise<RowBatch | undefined> {
    const [plain] = await this.run<PlainRows>(sql.plain, params)
    if (plain === undefined || plain.data === null) return undefined
    if (isPlain(plain, table)) {
      return { data: plain.data, rows: plain.rows, last: keyOf(lastRow(plain.data), table) }
    }
    return this.#carefulBatch(table, { sql, params, options })
  }

  /** Takes rows one by one, and leaves out what no other database would take. */
  async #carefulBatch(
    table: TableShape,
    { sql, params, options }: { sql: RowSql; params: readonly SqlValue[]; options: ReadOptions },
  ): Promise<RowBatch | undefined> {
    const found = await this.run<{ data: Buffer; misfits: string }>(sql.careful, params)
    const last = found.at(-1)
    if (last === undefined) return undefined
    const good: Buffer[] = []
    for (const { data, misfits } of found) {
      const problem = problemOf(data, misfits, table)
      if (problem === undefined) good.push(data)
      else
        options.onUnstorable?.({ table: table.name, key: describeKey(keyOf(data, table), table), ...problem })
    }
    return { data: Buffer.concat(good), rows: good.length, last: keyOf(last.data, table) }
  }

  all<T = Row>(sql: string): Promise<T[]> {
    return this.run<T>(sql, [])
  }

  protected async run<T = Row>(sql: string, params: readonly SqlValue[]): Promise<T[]> {
    const { rows } = await this.#connection.run({ sql, params, wants: 'rows' })
    return rows as T[]
  }

  async counts(tables: readonly TableShape[]): Promise<ReadonlyMap<string, number>> {
    const rows = await this.all<{ name: string; n: number }>(countsSql(tables))
    return new Map(rows.map(({ name, n }) => [name, n]))
  }

  async sizes(): Promise<ReadonlyMap<string, number>> {
    const rows = await this.all<{ name: string; size: number }>(
      `SELECT s.tbl_name AS name, SUM(d.pgsize) AS size
       FROM dbstat AS d JOIN sqlite_schema AS s ON s.name = d.name WHERE d.aggregate GROUP BY s.tbl_name`,
    )
    return new Map(rows.map(({ name, size }) => [name, size]))
  }

  async numbers(): Promise<NumberSources> {
    const counters = await this.all<{ name: string; value: number }>('SELECT name, value FROM id_counters')
    const keys = await this.all<{ name: string; value: number }>(
      'SELECT name, seq AS value FROM sqlite_sequence',
    )
    const record = (rows: typeof counters): Record<string, number> =>
      Object.fromEntries(rows.map(({ name, value }) => [name, value]))
    return {
      sequences: record(counters),
      identities: record(keys.filter(({ name }) => !isOwnTable(name))),
    }
  }

  /** By the locks on the file, which Linux tells. */
  async otherUsers(): Promise<string | undefined> {
    let locks, ino
    try {
      locks = await readFile('/proc/locks', 'utf8')
      ino = (await stat(this.path)).ino
    } catch {
      return undefined
    }
    for (const [, pid, inode] of locks.matchAll(
      /^\d+: (?:->)?\s*\S+\s+\S+\s+\S+\s+(\d+)\s+\S+:\S+:(\d+) /gm,
    )) {
      if (Number(inode) === ino && Number(pid) !== process.pid) return `process ${pid!} has ${this.path} open`
    }
    return undefined
  }

  async changeMark(): Promise<string> {
    const sizes = ['', '-wal'].map(async (suffix) => {
      try {
        const { mtimeMs, size } = await stat(this.path + suffix)
        return size === 0 ? '-' : `${mtimeMs}:${size}`
      } catch {
        return '-'
      }
    })
    return (await Promise.all(sizes)).join(' ')
  }

  async close(): Promise<void> {
    this.#connection.finalize()
    await closeDriver(this.#driver)
  }
}

/** Opens a connection: one that can only read, unless it is to write. */
export async function openDriver(path: string, use: 'read' | 'write'): Promise<Driver> {
  const { default: sqlite3 } = await import('sqlite3')
  const mode = use === 'read' ? sqlite3.OPEN_READONLY : sqlite3.OPEN_READWRITE | sqlite3.OPEN_CREATE
  return new Promise((resolve, reject) => {
    const driver = new sqlite3.Database(path, mode, (error) => {
      if (error) {
        reject(new Error(`Cannot open the SQLite database ${path}: ${error.message}`, { cause: error }))
      } else {
        driver.configure('busyTimeout', 5_000)
        resolve(driver)
      }
    })
  })
}

export function closeDriver(driver: Driver): Promise<void> {
  return new Promise((resolve, reject) => {
    driver.close((error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}

/** Whether rows that were put together without quotes can be told apart, and hold nothing but text. */
function isPlain({ data, rows, misfits, nulls }: PlainRows, table: TableShape): boolean {
  if (data === null || misfits !== 0 || !isUtf8(data)) return false
  const counts = countControls(data)
  return (
    counts[0] === 0 &&
    counts[CARRIAGE_RETURN] === 0 &&
    counts[QUOTE] === (hasOneText(table.columns) ? rows * 2 : 0) &&
    counts[LINE_FEED] === rows &&
    counts[DELIMITER] === rows * (table.columns.length - 1) &&
    counts[NULL_TEXT] === nulls
  )
}

/** How often each byte below the space is there. */
function countControls(data: Buffer): Uint32Array {
  const counts = new Uint32Array(SPACE)
  // By index, which takes a third of the time here.
  let index = data.length
  while (index-- > 0) {
    const byte = data[index]!
    if (byte < SPACE) counts[byte]!++
  }
  return counts
}

/** Of rows that are plain. */
function lastRow(data: Buffer): Buffer {
  return data.subarray(data.length < 2 ? 0 : data.lastIndexOf(LINE_FEED, data.length - 2) + 1)
}

function problemOf(
  row: Buffer,
  misfits: string,
  table: TableShape,
): { columns: readonly string[]; reason: string } | undefined {
  if (misfits !== '')
    return { columns: misfits.split(','), reason: 'a value of another type than its column' }
  if (isUtf8(row) && !row.includes(0)) return undefined
  const where = (test: (value: Buffer) => boolean): string[] =>
    columnsWhere(row, table).flatMap(([name, value]) => (value !== null && test(value) ? [name] : []))
  const withNul = where((value) => value.includes(0))
  return withNul.length > 0
    ? { columns: withNul, reason: 'a NUL character' }
    : {
        columns: where((value) => !isUtf8(value)),
        reason: 'half of a surrogate pair, or other bytes that are no text',
      }
}

function columnsWhere(row: Buffer, table: TableShape): [string, Buffer | null][] {
  const fields = fieldsOf(row)
  return table.columns.map(({ name }, index) => [name, fields[index] ?? null])
}
