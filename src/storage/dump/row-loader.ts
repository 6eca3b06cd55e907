import type { DatabaseConfig } from '../open-database.js'
import type { IndexDefinition, PortTarget } from '../porting/port-side.js'
import { openFilled } from '../porting/port-target.js'
import { textRowOf } from '../porting/row-text.js'
import type { SqlValue } from '../database.js'
import { toPortedShape, type TableShape } from './table-catalog.js'
import { lineToRow } from './table-rows.js'

/**
 * Puts the lines of `rowToLine` back into tables, in bulk: by COPY where the database has it, and with the indexes made
 * when all rows are there.
 */
export class RowLoader {
  readonly #target: PortTarget
  readonly #indexes: readonly IndexDefinition[]

  private constructor(target: PortTarget, indexes: readonly IndexDefinition[]) {
    this.#target = target
    this.#indexes = indexes
  }

  /** For a database whose tables are there, and empty. Takes its indexes away; only this process knows of them then. */
  static async open(config: DatabaseConfig): Promise<RowLoader> {
    const target = await openFilled(config)
    try {
      const indexes = await target.indexes()
      await target.transaction('drop_indexes', async (tx) => {
        for (const { drop } of indexes) await tx.execute(drop)
      })
      return new RowLoader(target, indexes)
    } catch (error) {
      await target.close()
      throw error
    }
  }

  /** All lines or, where one is no row of the table, which throws, none of them. */
  async load(table: TableShape, lines: readonly string[]): Promise<void> {
    const form = this.#target.bulkForm
    const shape = toPortedShape(table)
    const rows = lines.map((line) => {
      const row = lineToRow(line, table)
      if (form === 'json') return `${line},\n`
      return textRowOf(
        table.columns.map(({ name }) => textOf(row[name] ?? null)),
        shape,
      )
    })
    await this.#target.transaction('load_rows', (tx) =>
      tx.insertRows(shape, Buffer.from(rows.join('')), form),
    )
  }

  /** After the last row. Rejects where rows contradict each other. */
  async makeIndexes(): Promise<void> {
    for (const { create } of this.#indexes) {
      await this.#target.transaction('make_index', (tx) => tx.execute(create))
    }
  }

  close(): Promise<void> {
    return this.#target.close()
  }
}

function textOf(value: SqlValue): string | null {
  if (value === null) return null
  return Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : String(value)
}
