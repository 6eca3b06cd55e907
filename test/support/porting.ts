import type { Row } from '../../src/storage/database.js'
import { openDatabase, type DatabaseConfig } from '../../src/storage/open-database.js'
import { portDatabase, type PortOptions, type PortReport } from '../../src/storage/porting/port-database.js'
import { openSource } from '../../src/storage/porting/port-target.js'
import type { TableShape } from '../../src/storage/porting/table-shape.js'
import { noProgress } from '../../src/util/progress-sink.js'
import { quietContext } from './databases.js'
import { fillWithOddRows } from './odd-rows.js'

/** The options of a pass that nobody watches. */
function portOptions(
  source: DatabaseConfig,
  target: DatabaseConfig,
  more: Partial<PortOptions> = {},
): PortOptions {
  return {
    source,
    target,
    sourceName: `the ${source.name} of the test`,
    whileRunning: false,
    skipUnstorable: false,
    findServer: () => Promise.resolve(undefined),
    progress: noProgress,
    signal: new AbortController().signal,
    note: () => undefined,
    ...more,
  }
}

export function port(
  source: DatabaseConfig,
  target: DatabaseConfig,
  more?: Partial<PortOptions>,
): Promise<PortReport> {
  return portDatabase(portOptions(source, target, more), quietContext())
}

/** The tables of a database that are carried. */
export async function portedTables(config: DatabaseConfig): Promise<readonly TableShape[]> {
  const side = await openSource(config)
  try {
    return (await side.catalog()).tables
  } finally {
    await side.close()
  }
}

/** Fills a new SQLite database with rows of all kinds in every table. */
export async function fillOddly(config: DatabaseConfig, rowsEach: number): Promise<void> {
  const tables = await portedTables(config)
  const db = await openDatabase(config, quietContext())
  try {
    await fillWithOddRows(db, tables, rowsEach)
  } finally {
    await db.close()
  }
}

/** Runs statements that change a database, as a server would between two passes. */
export async function change(config: DatabaseConfig, ...statements: readonly string[]): Promise<void> {
  const db = await openDatabase(config, quietContext())
  try {
    await db.write('change', async (tx) => {
      for (const sql of statements) await tx.execute(sql)
    })
  } finally {
    await db.close()
  }
}

export async function ask<T = Row>(config: DatabaseConfig, sql: string): Promise<T[]> {
  return (await askAll<T>(config, [sql]))[0]!
}

export async function askAll<T = Row>(config: DatabaseConfig, statements: readonly string[]): Promise<T[][]> {
  const db = await openDatabase(config, quietContext())
  try {
    return await Promise.all(statements.map((sql) => db.reader.all<T>(sql)))
  } finally {
    await db.close()
  }
}
