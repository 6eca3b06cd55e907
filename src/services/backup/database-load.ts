import type { Database } from '../../storage/database.js'
import { writeCounters, type Counters } from '../../storage/dump/counters.js'
import {
  createDumpedSchema,
  dropSchema,
  isEmptyDatabase,
  UnknownSchemaError,
} from '../../storage/dump/dump-schema.js'
import type { RowLoader } from '../../storage/dump/row-loader.js'
import type { TableShape } from '../../storage/dump/table-catalog.js'
import { beginRestore, endRestore, isUnfinishedRestore } from '../../storage/dump/unfinished-restore.js'
import { forgetUsed, leapAhead, type UsedOnce } from '../../storage/dump/used-once.js'
import { quoteName } from '../../storage/sql-text.js'
import { migrate } from '../../storage/migrator.js'
import type { Clock } from '../../util/clock.js'
import { ArchiveError, DATABASE_PREFIX, type ArchiveHeader, type ArchiveSummary } from './archive-format.js'

const EMPTY_COUNTERS: Counters = { sequences: {}, identities: {} }

/** Fills an empty database with the rows of an archive. */
export class DatabaseLoad {
  readonly #db: Database
  readonly #openLoader: () => Promise<RowLoader>
  readonly #tables: ReadonlyMap<string, TableShape>
  readonly #header: ArchiveHeader
  readonly #rows = new Map<string, number>()
  #counters = EMPTY_COUNTERS
  #loader: RowLoader | undefined

  /** `openLoader`: into the same database. */
  constructor(
    { db, openLoader }: { db: Database; openLoader: () => Promise<RowLoader> },
    header: ArchiveHeader,
  ) {
    this.#db = db
    this.#openLoader = openLoader
    this.#header = header
    this.#tables = new Map(header.tables.map((table) => [table.name, table]))
  }

  /**
   * Makes the tables. Rejects with an `ArchiveError` when there is something in the database already, besides what a
   * restore has left that was killed.
   */
  async begin(): Promise<void> {
    if (await isUnfinishedRestore(this.#db.reader)) await this.undo()
    if (!(await isEmptyDatabase(this.#db.reader))) {
      throw new ArchiveError('There is something in the database already: only an empty one is restored into')
    }
    await this.#db.write('restore_begin', beginRestore)
    try {
      await createDumpedSchema(this.#db, { steps: this.#header.migrations, tables: this.#header.tables })
    } catch (error) {
      await this.undo()
      if (error instanceof UnknownSchemaError) throw new ArchiveError(error.message, { cause: error })
      throw error
    }
    await this.#db.write('empty_tables', async (tx) => {
      // Steps of the schema put rows into some.
      for (const name of this.#tables.keys()) await tx.execute(`DELETE FROM ${quoteName(name)}`)
    })
  }

  /** Takes a member in; gives the number of its rows. */
  async add(path: string, bytes: Buffer): Promise<number> {
    const name = path.slice(DATABASE_PREFIX.length).split('/', 1)[0] ?? ''
    const table = this.#tables.get(name)
    if (table === undefined)
      throw new ArchiveError(`${path} is of a table that the archive does not describe`)
    const lines = bytes.toString('utf8').split('\n')
    if (lines.at(-1) === '') lines.pop()
    this.#loader ??= await this.#openLoader()
    try {
      await this.#loader.load(table, lines)
    } catch (error) {
      throw new ArchiveError(`${path} is damaged: ${(error as Error).message}`, { cause: error })
    }
    this.#rows.set(name, (this.#rows.get(name) ?? 0) + lines.length)
    return lines.length
  }

  setCounters(counters: Counters): void {
    this.#counters = counters
  }

  /**
   * Counts what is there, removes what must not be used twice, and brings the schema up to date. Rejects with an
   * `ArchiveError` when rows are missing.
   */
  async finish(summary: ArchiveSummary, clock: Pick<Clock, 'now'>): Promise<UsedOnce> {
    await this.#makeIndexes()
    await this.#closeLoader()
    for (const { name } of this.#tables.values()) {
      const row = await this.#db.reader.first<{ n: number }>(`SELECT COUNT(*) AS n FROM ${quoteName(name)}`)
      const expected = summary.rows[name] ?? 0
      if (row?.n === expected && (this.#rows.get(name) ?? 0) === expected) continue
      throw new ArchiveError(`The table ${name} has ${row?.n ?? 0} rows, and should have ${expected}`)
    }
    const used = await this.#db.write('finish_restore', async (tx) => {
      await writeCounters(tx, leapAhead(this.#counters), [...this.#tables.values()])
      return forgetUsed(tx, clock.now())
    })
    await migrate(this.#db)
    await this.#db.write('restore_end', endRestore)
    return used
  }

  /** Leaves the database as empty as it was. */
  async undo(): Promise<void> {
    await this.#closeLoader()
    await dropSchema(this.#db)
    await this.#db.write('restore_end', endRestore)
  }

  async #makeIndexes(): Promise<void> {
    try {
      await this.#loader?.makeIndexes()
    } catch (error) {
      throw new ArchiveError(`Rows of the archive contradict each other: ${(error as Error).message}`, {
        cause: error,
      })
    }
  }

  async #closeLoader(): Promise<void> {
    await this.#loader?.close()
    this.#loader = undefined
  }
}
