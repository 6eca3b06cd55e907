import { existsSync, openSync, readSync, closeSync } from 'node:fs'
import type { DatabaseConfig } from '../config/sections/database.js'
import type { EstimateOptions, PortEstimate } from '../storage/porting/port-estimate.js'
import type { PortOptions, PortReport } from '../storage/porting/port-database.js'
import type { DatabaseContext } from '../storage/sql-database.js'
import { CommandFailure, UsageError } from './failures.js'
import { configPaths } from './config-paths.js'
import { describeDatabase } from './with-database.js'

/** How the databases are named: in this program's way, or in that of Synapse's script. */
export interface PlaceFlags {
  readonly config?: readonly string[] | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly 'sqlite-database'?: string | undefined
  readonly 'postgres-config'?: string | undefined
}

/** One of the two databases. */
export interface Place {
  readonly database: DatabaseConfig
  /** For people, without its password. */
  readonly name: string
  /** The configuration of the server that uses it, where that is known. */
  readonly configPaths: readonly string[]
}

/** Somebody has interrupted it; what has been carried stays. */
export class PortInterrupted extends Error {
  override readonly name = 'PortInterrupted'
}

/** As shells tell of a process that was interrupted. */
export const INTERRUPTED_EXIT_CODE = 130

const POSTGRES_URL = /^postgres(?:ql)?:\/\//
const SQLITE_NAME = /\.(?:db|sqlite3?)$/
const SQLITE_MAGIC = 'SQLite format 3\0'

/** The source and the target that flags name. Throws a `UsageError` where one is missing or there is one too many. */
export async function findPlaces(flags: PlaceFlags): Promise<{ source: Place; target: Place }> {
  const { from = flags['sqlite-database'], to = flags['postgres-config'] } = flags
  if (to === undefined) {
    throw new UsageError('Where to? Name the new database with --to: a configuration, a SQLite file or a URL')
  }
  const target = await placeAt(to, '--to')
  if (from !== undefined) return { source: await placeAt(from, '--from'), target }
  const paths = configPaths(flags.config)
  const { loadConfig } = await import('../config/load.js')
  const { config } = await loadConfig(paths)
  return {
    source: { database: config.database, name: describeDatabase(config.database), configPaths: paths },
    target,
  }
}

async function placeAt(given: string, flag: string): Promise<Place> {
  const direct = directDatabase(given)
  if (direct !== undefined) return { database: direct, name: describeDatabase(direct), configPaths: [] }
  const { loadDatabaseConfig } = await import('../config/load-database.js')
  const database = await loadDatabaseConfig(given)
  if (database === undefined) throw new UsageError(`${flag} ${given}: there is no "database" in this file`)
  return { database, name: describeDatabase(database), configPaths: [given] }
}

/** What is no configuration: the URL of a PostgreSQL database, or the file of a SQLite database, there or to be made. */
function directDatabase(given: string): DatabaseConfig | undefined {
  if (POSTGRES_URL.test(given)) {
    return {
      name: 'postgres',
      connection: { url: given },
      poolMax: 10,
      applicationName: 'mxhs',
      synchronousCommit: 'on',
    }
  }
  const isFile = existsSync(given) ? beginsAs(given, SQLITE_MAGIC) : SQLITE_NAME.test(given)
  return isFile ? { name: 'sqlite', path: given, synchronous: 'normal' } : undefined
}

function beginsAs(path: string, text: string): boolean {
  try {
    const file = openSync(path, 'r')
    try {
      const head = Buffer.alloc(text.length)
      return readSync(file, head, 0, head.length, 0) === head.length && head.toString('latin1') === text
    } finally {
      closeSync(file)
    }
  } catch {
    return false
  }
}

/** Says which server uses a database, if one answers at the control socket of its configuration. */
export async function findServer({ configPaths: paths }: Place): Promise<string | undefined> {
  const [{ loadConfig }, { withRunningServer }, { readConfigFiles }] = await Promise.all([
    import('../config/load.js'),
    import('./control-client.js'),
    import('../config/config-files.js'),
  ])
  // A file with a database alone is that of no server.
  if (paths.length === 0 || (await readConfigFiles(paths)).values['server_name'] === undefined)
    return undefined
  const { config } = await loadConfig(paths)
  const answer = await withRunningServer(config, (client) => client.call('ping'))
  if (answer === undefined) return undefined
  const { pid } = answer as { pid?: number }
  return `the server runs${pid === undefined ? '' : ` (process ${pid})`}`
}

/** Carries rows over, and ends between two batches at SIGINT and SIGTERM. Throws a `PortInterrupted` then. */
export async function runPort(options: Omit<PortOptions, 'signal'>): Promise<PortReport> {
  const { portDatabase } = await import('../storage/porting/port-database.js')
  return interruptible(options, (signal, context) => portDatabase({ ...options, signal }, context))
}

/** As `runPort`, without changing anything. */
export async function runEstimate(options: Omit<EstimateOptions, 'signal'>): Promise<PortEstimate> {
  const { estimatePort } = await import('../storage/porting/port-estimate.js')
  return interruptible(options, (signal, context) => estimatePort({ ...options, signal }, context))
}

async function interruptible<T>(
  { progress }: Pick<PortOptions, 'progress'>,
  work: (signal: AbortSignal, context: DatabaseContext) => Promise<T>,
): Promise<T> {
  const [{ silentLogger }, { createMetrics }, { systemClock }] = await Promise.all([
    import('../telemetry/logger.js'),
    import('../telemetry/metrics.js'),
    import('../util/clock.js'),
  ])
  const controller = new AbortController()
  const interrupt = (): void => {
    controller.abort(new PortInterrupted('Interrupted: the same command goes on from here'))
  }
  // Once each: a second signal ends the process at once, which does no harm either.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt)
  try {
    return await work(controller.signal, {
      logger: silentLogger(),
      metrics: createMetrics(),
      clock: systemClock,
    })
  } catch (error) {
    throw expected(error as Error)
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt)
    progress.finish()
  }
}

/** What people can do something about comes without a stack. */
function expected(error: Error): Error {
  const isOurs = error.name === 'PortRefusal' || /^Cannot (?:open|use) the /.test(error.message)
  return isOurs ? new CommandFailure(error.message, { cause: error }) : error
}
