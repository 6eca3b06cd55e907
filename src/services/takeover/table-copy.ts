import type { InsertOptions, Row, SqlValue, Tx } from '../../storage/database.js'
import { countRows, readPages, type SourceRows } from '../../storage/synapse/rows.js'
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

/** A row as it is written. */
export type OwnRow = Readonly<Record<string, SqlValue>>

/** Some rows, and how many of the source they were made of. */
export interface OwnRows {
  readonly read: number
  readonly rows: readonly OwnRow[]
}

/** Where rows go. */
interface Destination {
  /** What the rows are, for people: plural. */
  readonly what: string
  readonly into: string
  readonly options: InsertOptions
}

/** A table whose rows become rows of ours, one by one. */
export interface TableCopy extends Destination {
  readonly from: SourceRows
  /** Undefined: the row is left out. */
  readonly toRow: (row: Row, facts: CopyFacts) => OwnRow | undefined
}

/** Rows of ours, made of whatever the source has. The same each time that they are made of one snapshot. */
export interface RowsCopy extends Destination {
  readonly count: (source: SynapseSource) => Promise<number>
  readonly make: (source: SynapseSource, facts: CopyFacts) => AsyncIterable<OwnRows>
}

/** How many rows were read, and how many there are now that were not before. */
export interface CopyCount {
  readonly read: number
  readonly written: number
}

/** A table's copy as one of rows. */
export function asRowsCopy({ what, into, options, from, toRow }: TableCopy): RowsCopy {
  return {
    what,
    into,
    options,
    count: (source) => countRows(source, from),
    async *make(source, facts) {
      for await (const page of readPages(source, from)) {
        const rows = page.map((row) => toRow(row, facts)).filter((row) => row !== undefined)
        yield { read: page.length, rows }
      }
    },
  }
}

/** Writes the rows in pages, in the transaction. */
export async function copyRows(
  tx: Tx,
  source: SynapseSource,
  { copy, facts, onRows }: { copy: RowsCopy; facts: CopyFacts; onRows: (n: number) => void },
): Promise<CopyCount> {
  const before = await countOwn(tx, copy.into)
  let read = 0
  for await (const page of copy.make(source, facts)) {
    await tx.insertMany(copy.into, page.rows, copy.options)
    read += page.read
    onRows(page.read)
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
