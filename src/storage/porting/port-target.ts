import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Database } from '../database.js'
import { migrate } from '../migrator.js'
import { openDatabase, type DatabaseConfig } from '../open-database.js'
import type { DatabaseContext } from '../sql-database.js'
import { quoteName } from '../sql-text.js'
import { PortBook, findPortState } from './port-book.js'
import { PortRefusal } from './port-refusal.js'
import type { PortSide, PortTarget } from './port-side.js'
import { PostgresSide } from './postgres-side.js'
import { PostgresTarget } from './postgres-target.js'
import { SqliteSide } from './sqlite-side.js'
import { SqliteTarget } from './sqlite-target.js'
import type { TableShape } from './table-shape.js'

/** Opens a database for reading alone. Rejects when it is not there. */
export function openSource(config: DatabaseConfig): Promise<PortSide> {
  return config.name === 'sqlite' ? SqliteSide.openSource(config.path) : PostgresSide.openSource(config)
}

/** What a target is, before anything is done to it. */
export type TargetState =
  /** No tables at all: the schema is made by the migrations. */
  | 'new'
  /** The schema, and what the migrations put there. */
  | 'empty'
  /** Porting has begun, or ended. */
  | 'begun'

/**
 * Looks at a target and refuses one that holds anything that did not come by porting. Changes nothing. `migrations`:
 * those of the source.
 */
export async function inspectTarget(
  config: DatabaseConfig,
  migrations: readonly string[],
  context: DatabaseContext,
): Promise<TargetState> {
  if (config.name === 'sqlite' && !existsSync(config.path)) return 'new'
  const side = await openSource(config)
  try {
    const applied = await side.migrations()
    const { tables, foreign, searchIndexes } = await side.catalog()
    // Migrations are one transaction: a process that was killed before its end leaves only the table that lists them.
    if (applied === undefined || applied.length === 0) {
      const found = [...tables, ...foreign].map(({ name }) => name)
      if (found.length + searchIndexes.length === 0) return 'new'
      throw new PortRefusal(
        `The target holds tables of something else (${some(found)}): give it a database of its own`,
      )
    }
    if (applied.join() !== migrations.join()) {
      throw new PortRefusal(
        'The target has the schema of another version than the source: begin with a new, empty database',
      )
    }
    if ((await findPortState(side)) !== undefined) return 'begun'
    const others = await differsFromNew(side, tables, context)
    if (others.length === 0) return 'empty'
    throw new PortRefusal(
      `The target holds data already (${some(others)}), which would be lost: give it a new, empty database`,
    )
  } finally {
    await side.close()
  }
}

/** Opens a target and makes what it lacks: schema, and the marks of porting. */
export async function openTarget(
  config: DatabaseConfig,
  state: TargetState,
  { source, context }: { source: string; context: DatabaseContext },
): Promise<PortTarget> {
  if (state === 'new') {
    const db = await openDatabase(config, context)
    try {
      await migrate(db)
    } finally {
      await db.close()
    }
  }
  const target = await openFilled(config)
  try {
    const user = await target.otherUsers()
    if (user !== undefined) throw new PortRefusal(`The target is in use: ${user}`)
    await prepare(target, state, source)
    return target
  } catch (error) {
    await target.close()
    throw error
  }
}

/** Opens a database, whose schema is there, for filling it. */
export function openFilled(config: DatabaseConfig): Promise<PortTarget> {
  return config.name === 'sqlite' ? SqliteTarget.open(config.path) : PostgresTarget.open(config)
}

async function prepare(target: PortTarget, state: TargetState, source: string): Promise<void> {
  const book = new PortBook(target)
  const [indexes, { tables }] = [await target.indexes(), await target.catalog()]
  await target.transaction('port_begin', async (tx) => {
    if (state === 'begun') {
      await book.reopen(tx, source)
      return
    }
    // What the migrations have put there comes with the rows of the source.
    for (const { name } of tables) await tx.execute(`DELETE FROM ${quoteName(name)}`)
    await book.begin(tx, source, indexes)
  })
}

/** The tables that hold anything else than those of a database that has just been made. */
async function differsFromNew(
  side: PortSide,
  tables: readonly TableShape[],
  context: DatabaseContext,
): Promise<string[]> {
  const filled: TableShape[] = []
  for (const table of tables) {
    const [row] = await side.all(`SELECT 1 FROM ${quoteName(table.name)} LIMIT 1`)
    if (row !== undefined) filled.push(table)
  }
  const few: string[] = []
  const many: string[] = []
  await withNewDatabase(context, async (fresh) => {
    for (const table of filled) {
      const [own, expected] = [await firstRows(side, table), await firstRows(fresh, table)]
      ;(own === expected ? few : many).push(table.name)
    }
  })
  return many
}

/** Of a new database there are hardly any: one batch is all of them. */
async function firstRows(side: PortSide, table: TableShape): Promise<string> {
  const parts: string[] = []
  for await (const { data } of side.read(table)) {
    parts.push(data.toString('latin1'))
    if (parts.length > 1) break
  }
  return parts.join('')
}

async function withNewDatabase(
  context: DatabaseContext,
  work: (side: PortSide) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mxhs-port-'))
  try {
    const path = join(directory, 'new.db')
    const db: Database = await openDatabase({ name: 'sqlite', path }, context)
    try {
      await migrate(db)
    } finally {
      await db.close()
    }
    const side = await SqliteSide.openSource(path)
    try {
      await work(side)
    } finally {
      await side.close()
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function some(names: readonly string[]): string {
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ')
}
