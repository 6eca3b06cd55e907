import type { Tx } from '../database.js'
import type { IndexDefinition, PortTarget } from './port-side.js'
import type { RowKey } from './row-text.js'

/** How far a table has been copied. */
export interface TableProgress {
  /** Rows up to this key are there; undefined: none. */
  readonly position: RowKey | undefined
  readonly copied: boolean
}

export interface PortState {
  /** Where the rows come from, for people. */
  readonly source: string
  readonly complete: boolean
}

/** An index that is still to be made. */
export type MissingIndex = Pick<IndexDefinition, 'name' | 'table' | 'create'>

const TABLES = [
  `CREATE TABLE port_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    source TEXT NOT NULL,
    complete SMALLINT NOT NULL
  )`,
  // position: JSON, the last key that was copied, its bytes as the letters of Latin-1.
  `CREATE TABLE port_progress (
    name TEXT PRIMARY KEY,
    position TEXT,
    copied SMALLINT NOT NULL
  )`,
  // Indexes that are made when the rows are there.
  `CREATE TABLE port_indexes (name TEXT PRIMARY KEY, table_name TEXT NOT NULL, create_sql TEXT NOT NULL)`,
]

/** How far a database has been filled by porting; undefined when it has not, or belongs to a server by now. */
export async function findPortState(
  side: Pick<PortTarget, 'engine' | 'all'>,
): Promise<PortState | undefined> {
  const sql =
    side.engine === 'sqlite'
      ? "SELECT COUNT(*) AS found FROM sqlite_schema WHERE name = 'port_state'"
      : "SELECT COUNT(to_regclass('port_state')) AS found"
  const [table] = await side.all<{ found: number }>(sql)
  if (table?.found !== 1) return undefined
  const [row] = await side.all<{ source: string; complete: number }>(
    'SELECT source, complete FROM port_state',
  )
  return row && { source: row.source, complete: row.complete === 1 }
}

/** What the target remembers of its being filled, so that it can be interrupted at any point. */
export class PortBook {
  readonly #target: PortTarget

  constructor(target: PortTarget) {
    this.#target = target
  }

  /** Takes an empty database for porting, and its indexes away until the rows are there. */
  async begin(tx: Tx, source: string, indexes: readonly IndexDefinition[]): Promise<void> {
    for (const sql of TABLES) await tx.execute(sql)
    await tx.execute('INSERT INTO port_state (one, source, complete) VALUES (1, ?, 0)', [source])
    const rows = indexes.map(({ name, table, create }) => ({ name, table_name: table, create_sql: create }))
    await tx.insertMany('port_indexes', rows, {
      columns: { name: 'text', table_name: 'text', create_sql: 'text' },
    })
    for (const { drop } of indexes) await tx.execute(drop)
  }

  async reopen(tx: Tx, source: string): Promise<void> {
    await tx.execute('UPDATE port_state SET source = ?, complete = 0', [source])
  }

  async complete(tx: Tx): Promise<void> {
    await tx.execute('UPDATE port_state SET complete = 1')
  }

  async progress(): Promise<ReadonlyMap<string, TableProgress>> {
    const rows = await this.#target.all<{ name: string; position: string | null; copied: number }>(
      'SELECT name, position, copied FROM port_progress',
    )
    return new Map(
      rows.map(({ name, position, copied }) => [
        name,
        { position: position === null ? undefined : parseKey(position), copied: copied === 1 },
      ]),
    )
  }

  async save(tx: Tx, name: string, progress: TableProgress): Promise<void> {
    await this.saveAll(tx, [name], progress)
  }

  async saveAll(tx: Tx, names: readonly string[], { position, copied }: TableProgress): Promise<void> {
    const rows = names.map((name) => ({
      name,
      position: position === undefined ? null : stringifyKey(position),
      copied: Number(copied),
    }))
    await tx.insertMany('port_progress', rows, {
      columns: { name: 'text', position: 'text', copied: 'integer' },
      conflict: { key: ['name'], update: ['position', 'copied'] },
    })
  }

  /** Indexes that are still to be made. */
  missingIndexes(): Promise<MissingIndex[]> {
    return this.#target.all<MissingIndex>(
      'SELECT name, table_name AS "table", create_sql AS "create" FROM port_indexes ORDER BY name',
    )
  }

  /** Makes them. */
  async makeIndexes(tx: Tx, indexes: readonly MissingIndex[]): Promise<void> {
    for (const { create } of indexes) await tx.execute(create)
    const names = indexes.map(({ name }) => name)
    await tx.execute(`DELETE FROM port_indexes WHERE ${tx.dialect.anyOf('name', 'text')}`, [
      tx.dialect.list(names),
    ])
  }
}

function stringifyKey(key: RowKey): string {
  return JSON.stringify(key.map((part) => part.toString('latin1')))
}

function parseKey(text: string): RowKey {
  return (JSON.parse(text) as string[]).map((part) => Buffer.from(part, 'latin1'))
}
