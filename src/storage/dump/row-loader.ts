import type { DatabaseConfig } from '../open-database.js'
import type { PortTarget } from '../porting/port-side.js'
import { openFilled } from '../porting/port-target.js'
import { textRowOf } from '../porting/row-text.js'
import type { SqlValue } from '../database.js'
import { toPortedShape, type TableShape } from './table-catalog.js'
import { lineToRow } from './table-rows.js'

/** Puts the lines of `rowToLine` back into tables, in bulk: by COPY where the database has it. */
export class RowLoader {
  readonly #target: PortTarget

  private constructor(target: PortTarget) {
    this.#target = target
  }

  /** For a database whose tables are there. */
  static async open(config: DatabaseConfig): Promise<RowLoader> {
    return new RowLoader(await openFilled(config))
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

  close(): Promise<void> {
    return this.#target.close()
  }
}

function textOf(value: SqlValue): string | null {
  if (value === null) return null
  return Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : String(value)
}
