import type { Query } from '../../storage/database.js'
import { readCounters } from '../../storage/dump/counters.js'
import type { TableShape } from '../../storage/dump/table-catalog.js'
import { readRows, rowToLine } from '../../storage/dump/table-rows.js'
import type { ProgressSink } from '../../util/progress-sink.js'
import { COUNTERS_MEMBER, DATABASE_PREFIX } from './archive-format.js'
import type { ArchiveWriter } from './archive-writer.js'

/** A member ends when it has as much. */
const MEMBER_CHARS = 4 * 1024 * 1024

export interface DumpOptions {
  readonly tables: readonly TableShape[]
  readonly progress: ProgressSink
  readonly signal: AbortSignal
}

/** Writes all rows of the tables, as they are in the transaction of `q`. Gives their numbers by table. */
export async function dumpDatabase(
  q: Query,
  archive: ArchiveWriter,
  { tables, progress, signal }: DumpOptions,
): Promise<Record<string, number>> {
  await archive.add(COUNTERS_MEMBER, Buffer.from(`${JSON.stringify(await readCounters(q), undefined, 2)}\n`))
  progress.start('Rows', undefined, 'rows')
  try {
    const counts: Record<string, number> = {}
    for (const table of tables) counts[table.name] = await dumpTable(q, archive, { table, progress, signal })
    return counts
  } finally {
    progress.finish()
  }
}

async function dumpTable(
  q: Query,
  archive: ArchiveWriter,
  { table, progress, signal }: Omit<DumpOptions, 'tables'> & { table: TableShape },
): Promise<number> {
  let count = 0
  let lines: string[] = []
  let chars = 0
  let parts = 0
  const flush = async (): Promise<void> => {
    const path = `${DATABASE_PREFIX}${table.name}/${String(parts++).padStart(6, '0')}.jsonl`
    await archive.add(path, Buffer.from(lines.join('')))
    lines = []
    chars = 0
  }
  for await (const rows of readRows(q, table)) {
    signal.throwIfAborted()
    for (const row of rows) {
      const line = rowToLine(row, table)
      lines.push(line)
      chars += line.length
      if (chars >= MEMBER_CHARS) await flush()
    }
    count += rows.length
    progress.advance(rows.length)
  }
  if (lines.length > 0) await flush()
  return count
}
