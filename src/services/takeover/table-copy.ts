import type { InsertOptions, Row, SqlValue, Tx } from '../../storage/database.js'
import { readPages, type SourceRows } from '../../storage/synapse/rows.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import type { ServerName } from '../../protocol/ids.js'

/** What is known when tables are copied. */
export interface CopyFacts {
  readonly serverName: ServerName
  /** When the copying began. */
  readonly now: number
  /** Undefined for rooms that have not been copied. */
  readonly roomNid: (roomId: string) => number | undefined
  /** The newest position of the events stream. */
  readonly newestPosition: number
}

/** A table whose rows become rows of ours, one by one. */
export interface TableCopy {
  /** What the rows are, for people: plural. */
  readonly what: string
  readonly from: SourceRows
  readonly into: string
  readonly options: InsertOptions
  /** Undefined: the row is left out. */
  readonly toRow: (row: Row, facts: CopyFacts) => Record<string, SqlValue> | undefined
}

/** How many rows were read, and how many there are now that were not before. */
export interface CopyCount {
  readonly read: number
  readonly written: number
}

/** Copies the rows of a table in pages, in the transaction. */
export async function copyTable(
  tx: Tx,
  source: SynapseSource,
  { copy, facts, onRows }: { copy: TableCopy; facts: CopyFacts; onRows: (n: number) => void },
): Promise<CopyCount> {
  const before = await countOwn(tx, copy.into)
  let read = 0
  for await (const page of readPages(source, copy.from)) {
    const rows: Record<string, SqlValue>[] = []
    for (const row of page) {
      const copied = copy.toRow(row, facts)
      if (copied) rows.push(copied)
    }
    await tx.insertMany(copy.into, rows, copy.options)
    read += page.length
    onRows(page.length)
  }
  return { read, written: (await countOwn(tx, copy.into)) - before }
}

async function countOwn(tx: Tx, table: string): Promise<number> {
  return (await tx.first<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`))?.n ?? 0
}

/** Rows whose user is one of this server. */
export function ofLocalUsers(column: string, serverName: string): { where: string; params: string[] } {
  return {
    where: `${column} LIKE ? ESCAPE '!'`,
    params: [`@%:${serverName.replace(/[!%_]/g, '!$&')}`],
  }
}
