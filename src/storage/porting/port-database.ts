import { migrations } from '../../../migrations/index.js'
import type { ProgressSink } from '../../util/progress-sink.js'
import type { DatabaseConfig } from '../open-database.js'
import type { DatabaseContext } from '../sql-database.js'
import { PortBook } from './port-book.js'
import { lockTarget } from './port-lock.js'
import { PortPass, type TableResult } from './port-pass.js'
import { PortRefusal } from './port-refusal.js'
import type { PortSide, PortTarget, UnstorableRow } from './port-side.js'
import { inspectTarget, openSource, openTarget } from './port-target.js'
import { SEARCH_INDEX } from './searched-words.js'
import { describeDifferences } from './table-shape.js'

export interface PortOptions {
  readonly source: DatabaseConfig
  readonly target: DatabaseConfig
  /** The source for people, as the target remembers it. */
  readonly sourceName: string
  /** Carries over what there is although a server uses the source; the result is never complete. */
  readonly whileRunning: boolean
  /** Rows that the target cannot hold do not keep it from being complete. */
  readonly skipUnstorable: boolean
  readonly batchRows?: number | undefined
  /** Says which server uses the source, beside what the database itself tells. */
  readonly findServer: () => Promise<string | undefined>
  readonly progress: ProgressSink
  readonly signal: AbortSignal
  readonly note: (text: string) => void
}

export interface PortReport {
  /** The target holds what the source does, and nobody has written to the source meanwhile. */
  readonly complete: boolean
  /** Why it is not complete. */
  readonly incompleteBecause: string | null
  /** Had the target been filled before, wholly or in part? */
  readonly resumed: boolean
  readonly tables: readonly TableResult[]
  readonly unstorable: readonly UnstorableRow[]
}

/**
 * Carries the rows of one database to another of the other kind, which is made or brought up to date by that: what is the
 * same already stays. The source is never written. The target holds one state of the source, that of the beginning.
 * Throws a `PortRefusal` where the databases do not fit, and the signal's reason when that aborts: then the next pass
 * goes on from there.
 */
export async function portDatabase(options: PortOptions, context: DatabaseContext): Promise<PortReport> {
  if (options.source.name === options.target.name) {
    throw new PortRefusal('Both databases are of the same kind: copy the file, or use pg_dump')
  }
  const watch = await SourceWatch.begin(options)
  try {
    const lock = await lockTarget(options.target)
    try {
      return await portWatched(options, watch, context)
    } finally {
      await lock.release()
    }
  } finally {
    await watch.close()
  }
}

async function portWatched(
  options: PortOptions,
  watch: SourceWatch,
  context: DatabaseContext,
): Promise<PortReport> {
  const source = await openSource(options.source)
  try {
    const catalog = await checkSource(source)
    const state = await inspectTarget(options.target, (await source.migrations()) ?? [], context)
    const target = await openTarget(options.target, state, { source: options.sourceName, context })
    try {
      const differences = describeDifferences(catalog, await target.catalog())
      if (differences.length > 0) throw new PortRefusal(`The schemas differ: ${differences.join('; ')}`)
      const pass = new PortPass({ ...options, source, target, tables: catalog.tables })
      const { tables, unstorable } = await pass.run()
      const incompleteBecause =
        (await watch.findDisturbance()) ??
        (options.skipUnstorable ? undefined : describeUnstorable(unstorable))
      await finish(target, { complete: incompleteBecause === undefined, tables })
      return {
        complete: incompleteBecause === undefined,
        incompleteBecause: incompleteBecause ?? null,
        resumed: state === 'begun',
        tables,
        unstorable,
      }
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

/** Throws a `PortRefusal` for a source that this program's migrations have not brought up to date. */
export async function checkSource(source: PortSide): ReturnType<PortSide['catalog']> {
  const expected = migrations.map(({ name }) => name)
  const applied = await source.migrations()
  if (applied === undefined) throw new PortRefusal('The source holds no database of this program')
  const unknown = applied.filter((name) => !expected.includes(name))
  if (unknown.length > 0) {
    throw new PortRefusal(`The source belongs to a newer version of this program (${unknown.join(', ')})`)
  }
  if (applied.length < expected.length) {
    throw new PortRefusal('The schema of the source is not up to date: run "mxhs db migrate" for it first')
  }
  const catalog = await source.catalog()
  const known = catalog.searchIndexes.every((name) => name === SEARCH_INDEX)
  if (!known) throw new PortRefusal(`There is no way to make ${catalog.searchIndexes.join(', ')} anew`)
  return catalog
}

async function finish(
  target: PortTarget,
  { complete, tables }: { complete: boolean; tables: readonly TableResult[] },
): Promise<void> {
  const book = new PortBook(target)
  if (complete) await target.transaction('port_complete', (tx) => book.complete(tx))
  await target.settle(tables.some(({ rows, carried }) => carried > rows / 10))
}

function describeUnstorable(rows: readonly UnstorableRow[]): string | undefined {
  if (rows.length === 0) return undefined
  return `${rows.length === 1 ? 'a row' : `${rows.length} rows`} of the source cannot be held by the target`
}

/** Watches whether somebody uses or changes the source while it is read. */
class SourceWatch {
  readonly #options: PortOptions
  readonly #side: PortSide
  readonly #markBefore: string
  readonly #userBefore: string | undefined

  private constructor(
    options: PortOptions,
    { side, mark, user }: { side: PortSide; mark: string; user: string | undefined },
  ) {
    this.#options = options
    this.#side = side
    this.#markBefore = mark
    this.#userBefore = user
  }

  /** Throws a `PortRefusal` when a server runs and that is not wanted. */
  static async begin(options: PortOptions): Promise<SourceWatch> {
    // A connection of its own: the one that reads is kept in the state of the beginning.
    const side = await openSource(options.source)
    try {
      const user = (await options.findServer()) ?? (await side.otherUsers())
      if (user !== undefined && !options.whileRunning) {
        throw new PortRefusal(
          `The source is in use: ${user}. Stop the server for the last pass; --while-running carries over most of ` +
            'it before that',
        )
      }
      return new SourceWatch(options, { side, mark: await side.changeMark(), user })
    } catch (error) {
      await side.close()
      throw error
    }
  }

  async findDisturbance(): Promise<string | undefined> {
    const user = this.#userBefore ?? (await this.#options.findServer()) ?? (await this.#side.otherUsers())
    if (user !== undefined) return `the source is in use: ${user}`
    if ((await this.#side.changeMark()) !== this.#markBefore) {
      return 'the source has been changed while it was read'
    }
    // Not every user can be seen: who says that there may be one has the last word.
    return this.#options.whileRunning ? 'a server may be using the source' : undefined
  }

  close(): Promise<void> {
    return this.#side.close()
  }
}
