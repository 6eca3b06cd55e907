import { EventSearchStore } from '../stores/event-search.js'
import type { Differences } from './compare-rows.js'
import type { PortTarget, UnstorableRow } from './port-side.js'
import { describeKey, keyOf } from './row-text.js'
import { SEARCHED_TABLE, searchedWords } from './searched-words.js'
import type { TableShape } from './table-shape.js'

export interface TableMendingContext {
  readonly target: PortTarget
  readonly table: TableShape
  readonly signal: AbortSignal
}

/** Does to a table what a comparison has found, during one round of comparing. */
export class TableMending {
  readonly #context: TableMendingContext
  readonly #search = new EventSearchStore()
  /** Rows that the target does not take. */
  readonly refused: UnstorableRow[] = []
  /** Rows that have been changed, brought or removed. */
  carried = 0
  /**
   * Something unique has moved from one row to another, and the other is still there: then this round only removes, and
   * the next inserts.
   */
  #removalsOnly = false

  constructor(context: TableMendingContext) {
    this.#context = context
  }

  async apply(differences: Differences): Promise<void> {
    this.#context.signal.throwIfAborted()
    try {
      await this.#mend(differences)
    } catch (error) {
      if (isRefused(error)) {
        await this.#mendInParts(differences, error as Error)
        return
      }
      if (this.#removalsOnly || !isInTheWay(error)) throw error
      this.#removalsOnly = true
      await this.#mend(differences)
    }
  }

  async #mend({ remove, insert: wanted }: Differences): Promise<void> {
    const { target, table } = this.#context
    const insert = this.#removalsOnly ? [] : wanted
    const rows = Buffer.concat(insert)
    await target.transaction('port_mend', async (tx) => {
      await tx.deleteRows(table, remove)
      await tx.insertRows(table, rows, 'text')
      if (table.name !== SEARCHED_TABLE) return
      await this.#search.remove(
        tx,
        remove.map(([nid]) => Number(nid!.toString())),
      )
      await this.#search.add(tx, searchedWords(table, rows, 'text'))
    })
    // What was removed and is not inserted yet is counted when it is.
    this.carried += this.#removalsOnly ? 0 : Math.max(remove.length, insert.length)
  }

  /** Finds the rows that are refused by halving. */
  async #mendInParts({ remove, insert }: Differences, error: Error): Promise<void> {
    const [row] = insert
    if (insert.length === 1 && row !== undefined) {
      const { table } = this.#context
      const key = describeKey(keyOf(row, table), table)
      this.refused.push({ table: table.name, key, columns: [], reason: error.message })
      await this.apply({ remove, insert: [] })
      return
    }
    const middle = insert.length >> 1
    await this.apply({ remove, insert: [] })
    await this.apply({ remove: [], insert: insert.slice(0, middle) })
    await this.apply({ remove: [], insert: insert.slice(middle) })
  }
}

/** Unique, but there already. */
export function isInTheWay(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return codeOf(error) === '23505' || error.message.includes('UNIQUE constraint failed')
}

/**
 * Nothing that the target could hold: too large for an index or a number, no text, nothing where there must be
 * something.
 */
export function isRefused(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return (
    /^(?:22...|54000|23502|23514)$/.test(codeOf(error)) ||
    error.message.includes('NOT NULL constraint failed')
  )
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : ''
}
