import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { ProgressSink } from '../../util/progress-sink.js'
import type { DatabaseConfig } from '../open-database.js'
import type { DatabaseContext } from '../sql-database.js'
import { checkSource } from './port-database.js'
import { PortRefusal } from './port-refusal.js'
import type { UnstorableRow } from './port-side.js'
import { inspectTarget, openSource, type TargetState } from './port-target.js'

export interface PortEstimate {
  readonly target: TargetState
  readonly tables: readonly { readonly name: string; readonly rows: number; readonly bytes: number }[]
  readonly rows: number
  /** About so much room the target takes. */
  readonly targetBytes: number
  /** Where the target is a file: how much room there is for it. */
  readonly freeBytes: number | null
  /** About so long it takes when nothing has been carried yet. */
  readonly seconds: number
  readonly unstorable: readonly UnstorableRow[]
}

export interface EstimateOptions {
  readonly source: DatabaseConfig
  readonly target: DatabaseConfig
  readonly progress: ProgressSink
  readonly signal: AbortSignal
}

/** What a target takes of the room of the source, indexes included. */
const SIZE_RATIO = { sqlite: 1, postgres: 1.6 } as const
/** Writing, making indexes and comparing, by how long reading takes. */
const TIME_RATIO = { sqlite: 8, postgres: 12 } as const

/**
 * Reads the whole source, and changes nothing: how many rows there are, which of them the target cannot hold, and about
 * how much time and room it will take. Throws a `PortRefusal` where nothing could be carried.
 */
export async function estimatePort(
  { source: from, target: to, progress, signal }: EstimateOptions,
  context: DatabaseContext,
): Promise<PortEstimate> {
  if (from.name === to.name) throw new PortRefusal('Both databases are of the same kind')
  const source = await openSource(from)
  try {
    const catalog = await checkSource(source)
    const target = await inspectTarget(to, (await source.migrations()) ?? [], context)
    const sizes = await source.sizes()
    const unstorable: UnstorableRow[] = []
    const tables = []
    const startedAt = context.clock.now()
    progress.start('reading', undefined, 'rows')
    for (const table of catalog.tables) {
      let rows = 0
      for await (const batch of source.read(table, { onUnstorable: (row) => unstorable.push(row) })) {
        signal.throwIfAborted()
        rows += batch.rows
        progress.advance(batch.rows)
      }
      tables.push({ name: table.name, rows, bytes: sizes.get(table.name) ?? 0 })
    }
    progress.finish()
    const readMs = context.clock.now() - startedAt
    const bytes = tables.reduce((sum, table) => sum + table.bytes, 0)
    return {
      target,
      tables,
      rows: tables.reduce((sum, table) => sum + table.rows, 0),
      targetBytes: Math.round(bytes * SIZE_RATIO[to.name]),
      freeBytes: to.name === 'sqlite' ? await freeBytesAt(dirname(to.path)) : null,
      seconds: Math.ceil((readMs / 1000) * TIME_RATIO[to.name]),
      unstorable,
    }
  } finally {
    await source.close()
  }
}

async function freeBytesAt(directory: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(directory)
    return bavail * bsize
  } catch {
    return null
  }
}
