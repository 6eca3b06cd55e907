import { createHash } from 'node:crypto'
import type { Database, Query, Row } from '../../storage/database.js'
import { listTables, type TableShape } from '../../storage/dump/table-catalog.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import type { CopyFacts, OwnRow, RowsCopy } from './table-copy.js'

/** What has been found of one kind of rows. */
export interface TableCheck {
  readonly what: string
  /** Rows that are here as they are to be. */
  readonly rows: number
  /** Rows that gave way to another one with the same key. */
  readonly superseded: number
  /** Rows that are not here, or are here with other values. */
  readonly missing: number
  /** Of all rows that are to be here, whatever their order: 16 hexadecimal digits. */
  readonly checksum: string
  /** The same of the rows that are here. */
  readonly found: string
}

export interface TableChecksParts {
  readonly db: Database
  readonly source: SynapseSource
  readonly facts: CopyFacts
  readonly onRows: (n: number) => void
}

/**
 * Reads the source again, makes the rows that are to be here, and looks each of them up: one check for each copy. Rows
 * may only be missing where a copy says that the first or the last of several with one key counts.
 */
export async function checkTables(
  copies: readonly RowsCopy[],
  parts: TableChecksParts,
): Promise<TableCheck[]> {
  const shapes = new Map((await listTables(parts.db.reader)).map((shape) => [shape.name, shape]))
  const checks: TableCheck[] = []
  for (const copy of copies) {
    const shape = shapes.get(copy.into)
    if (shape === undefined) throw new Error(`There is no table ${copy.into}`)
    checks.push(await checkTable(copy, shape, parts))
  }
  return checks
}

async function checkTable(
  copy: RowsCopy,
  shape: TableShape,
  { db, source, facts, onRows }: TableChecksParts,
): Promise<TableCheck> {
  const columns = Object.keys(copy.options.columns).sort()
  const mayGiveWay = copy.options.conflict !== undefined
  const expected = new Checksum()
  const found = new Checksum()
  let [rows, superseded, missing] = [0, 0, 0]
  for await (const page of copy.make(source, facts)) {
    const held = await lookUp(db.reader, shape, { columns, rows: page.rows })
    page.rows.forEach((row, index) => {
      const [wanted, own] = [textOf(row, columns), held.get(index)]
      const isHeld = own === wanted
      if (!isHeld && own !== undefined && mayGiveWay) {
        superseded += 1
        return
      }
      expected.add(wanted)
      if (own !== undefined) found.add(own)
      if (isHeld) rows += 1
      else missing += 1
    })
    onRows(page.read)
  }
  return { what: copy.what, rows, superseded, missing, checksum: expected.text, found: found.text }
}

/** What is here under the keys of the rows, as text, by their places in the list. */
async function lookUp(
  q: Query,
  shape: TableShape,
  { columns, rows }: { columns: readonly string[]; rows: readonly OwnRow[] },
): Promise<Map<number, string>> {
  if (rows.length === 0) return new Map()
  const types = new Map(shape.columns.map(({ name, type }) => [name, type]))
  const key = Object.fromEntries(
    shape.key.map((name) => [name, types.get(name) === 'integer' ? 'integer' : 'text'] as const),
  )
  const wanted = q.dialect.rowsFrom({ place: 'integer', ...key })
  const found = await q.all<Row & { place: number }>(
    `SELECT w.place, ${columns.map((name) => `t.${name}`).join(', ')}
     FROM ${wanted} AS w JOIN ${shape.name} t ON ${shape.key.map((name) => `t.${name} = w.${name}`).join(' AND ')}`,
    [
      q.dialect.rows(
        rows.map((row, place) => ({
          place,
          ...Object.fromEntries(shape.key.map((name) => [name, row[name] as string | number])),
        })),
      ),
    ],
  )
  return new Map(found.map((row) => [row.place, textOf(row, columns)]))
}

function textOf(row: Readonly<Record<string, unknown>>, columns: readonly string[]): string {
  return JSON.stringify(columns.map((name) => row[name] ?? null))
}

/** The sum of the hashes of texts: the same in whatever order they come. */
class Checksum {
  #sum = 0n

  add(text: string): void {
    this.#sum += createHash('sha256').update(text).digest().readBigUInt64BE()
  }

  get text(): string {
    return BigInt.asUintN(64, this.#sum).toString(16).padStart(16, '0')
  }
}
