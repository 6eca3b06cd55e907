import { createReadStream, existsSync } from 'node:fs'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import type { BundledFile } from '../config/config-bundle.js'
import { CONTROL_SOCKET_NAME } from '../config/control-socket-path.js'
import { writeIfNew } from '../config/generate.js'
import type { DatabaseConfig } from '../config/sections/database.js'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { loadConfig } from '../config/load.js'
import { relocateConfig, type Relocation } from '../config/relocate-config.js'
import {
  ArchiveReader,
  createRestorePlace,
  Restore,
  type ArchiveHeader,
  type RestoreReport,
} from '../server/backup-tools.js'
import { openDatabase } from '../storage/open-database.js'
import type { Database } from '../storage/database.js'
import { silentLogger } from '../telemetry/logger.js'
import { createMetrics } from '../telemetry/metrics.js'
import { systemClock } from '../util/clock.js'
import { readSecretKeys } from './backup-keys.js'
import { CommandFailure } from './failures.js'
import { Progress } from './progress.js'
import { describeDatabase } from './with-database.js'

export interface RestoreRequest {
  /** A file, or `-` for standard input. */
  readonly input: string
  /** Archives that have files which that one leaves out. */
  readonly earlier: readonly string[]
  readonly keyFiles: readonly string[]
  /** An empty or new directory for everything, or a configuration that says where the data goes. */
  readonly target: { readonly directory: string } | { readonly paths: readonly string[] }
  /** In the place of the database that the archive's configuration names: a URL of PostgreSQL or a file of SQLite. */
  readonly database: string | undefined
  readonly signal: AbortSignal
}

export interface RestoredServer {
  readonly report: RestoreReport
  /** What to start the server with. */
  readonly paths: readonly string[]
  readonly database: string
}

/** Puts a server back. Rejects with a `CommandFailure` when that cannot be done; then nothing has changed. */
export async function restoreServer(request: RestoreRequest): Promise<RestoredServer> {
  const secretKeys = await readSecretKeys(request.keyFiles)
  const target =
    'directory' in request.target
      ? new DirectoryTarget(resolve(request.target.directory), request.database)
      : new ConfiguredTarget(request.target.paths)
  await target.check()
  const archive = await ArchiveReader.open(openInput(request.input), { secretKeys })
  const restore = new Restore(archive, {
    prepare: (header, config) => target.prepare(header, config),
    clock: systemClock,
    progress: new Progress(),
    signal: request.signal,
  })
  try {
    const report = await restore.run(openEach(request.earlier, secretKeys))
    await target.close()
    await target.settle()
    return { report, paths: target.paths, database: target.database }
  } catch (error) {
    await target.close()
    await target.undo()
    throw error
  }
}

/** The archive in a file, or from standard input. Throws a `CommandFailure` when there is none. */
export function openInput(path: string): Readable {
  if (path === '-') return process.stdin
  if (!existsSync(path)) throw new CommandFailure(`${path}: there is no such file`)
  return createReadStream(path)
}

async function* openEach(
  paths: readonly string[],
  secretKeys: readonly string[],
): AsyncGenerator<ArchiveReader> {
  for (const path of paths) yield await ArchiveReader.open(openInput(path), { secretKeys })
}

/** Data goes where a configuration says. */
class ConfiguredTarget {
  paths: readonly string[]
  #config: HomeserverConfig | undefined
  #db: Database | undefined
  readonly #made: string[] = []
  readonly #marks: string[] = []

  constructor(paths: readonly string[]) {
    this.paths = paths
  }

  /** For people. */
  get database(): string {
    return this.#config === undefined ? '' : describeDatabase(this.#config.database)
  }

  /** Throws a `CommandFailure` where there is something that would be overwritten. */
  async check(): Promise<void> {
    const { config } = await loadConfig(this.paths)
    const { database, media } = config
    await removeRemains(media.storePath)
    checkNew(database)
    if (!(await isEmptyDirectory(media.storePath))) {
      throw new CommandFailure(`There is something in ${media.storePath} already`)
    }
  }

  async prepare(header: ArchiveHeader, files: readonly BundledFile[]) {
    const { config } = await loadConfig(this.paths)
    if (config.server.serverName !== header.serverName) {
      throw new CommandFailure(
        `The archive is of ${header.serverName}, the configuration of ${config.server.serverName}`,
      )
    }
    this.#config = config
    const { database, media } = config
    checkNew(database)
    if (database.name === 'sqlite') this.#made.push(...['', '-wal', '-shm'].map((end) => database.path + end))
    if (!existsSync(media.storePath)) this.#made.push(media.storePath)
    else this.#made.push(...['content', 'incoming'].map((name) => join(media.storePath, name)))
    await this.#writeKeys(files)
    await this.#mark(media.storePath)
    const context = { logger: silentLogger(), clock: systemClock }
    this.#db = await openDatabase(database, { ...context, metrics: createMetrics() })
    return createRestorePlace({ config, db: this.#db, ...context })
  }

  async close(): Promise<void> {
    await this.#db?.close()
  }

  /** Everything is there. */
  async settle(): Promise<void> {
    for (const path of this.#marks) await rm(path, { force: true })
  }

  /** Leaves a list of what is being made, for the next restore, should this one be killed. */
  async #mark(directory: string): Promise<void> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await this.mark(directory, this.#made)
  }

  protected async mark(directory: string, made: readonly string[]): Promise<void> {
    const path = join(directory, REMAINS)
    await writeFile(path, JSON.stringify(made))
    this.#marks.push(path)
  }

  async undo(): Promise<void> {
    for (const path of this.#made) await rm(path, { recursive: true, force: true })
    await this.settle()
  }

  /** Without its signing key, the server would be another one. */
  async #writeKeys(files: readonly BundledFile[]): Promise<void> {
    const { inline, path } = this.#config!.signingKeys
    const key = files.find(
      ({ role, keys }) => role === 'signing-key' || keys.some(([name]) => name === 'signing_key_path'),
    )
    if (inline !== undefined || key === undefined) return
    const { existed } = await writeIfNew(path, { content: key.content.toString('utf8'), mode: key.mode })
    if (!existed) this.#made.push(path)
  }
}

/** Everything goes into a directory, configuration and keys as well. */
class DirectoryTarget extends ConfiguredTarget {
  readonly #directory: string
  readonly #database: Relocation['database']
  #existed = false

  constructor(directory: string, database: string | undefined) {
    super([])
    this.#directory = directory
    this.#database = database === undefined ? undefined : databaseSection(database)
  }

  override async check(): Promise<void> {
    await removeRemains(this.#directory)
    this.#existed = existsSync(this.#directory)
    if (!(await isEmptyDirectory(this.#directory))) {
      throw new CommandFailure(`There is something in ${this.#directory} already`)
    }
  }

  override async prepare(header: ArchiveHeader, files: readonly BundledFile[]) {
    const { serverName } = header
    const relocated = relocateConfig(files, {
      directory: this.#directory,
      serverName,
      database: this.#database,
    })
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    // It was empty: whatever comes to be in it is of the restore.
    await this.mark(this.#directory, ['.'])
    for (const { path, content, mode } of relocated.files) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await writeIfNew(path, { content: content.toString('utf8'), mode })
    }
    this.paths = relocated.paths
    return super.prepare(header, files)
  }

  override async undo(): Promise<void> {
    await emptyDirectory(this.#directory)
    await super.undo()
    if (!this.#existed) await rm(this.#directory, { recursive: true, force: true })
  }
}

/**
 * What a restore leaves in a directory until it has come to its end: JSON, the paths of all that it makes; `.` stands for
 * everything in the directory.
 */
const REMAINS = '.mxhs-restoring'

/** Removes what a restore has left that was killed. */
async function removeRemains(directory: string): Promise<void> {
  const path = join(directory, REMAINS)
  if (!existsSync(path)) return
  for (const made of parseRemains(await readFile(path, 'utf8'))) {
    if (made === '.') await emptyDirectory(directory)
    else await rm(made, { recursive: true, force: true })
  }
  await rm(path, { force: true })
}

/** A list that was not written to its end comes from before anything was made. */
function parseRemains(text: string): readonly string[] {
  try {
    return JSON.parse(text) as readonly string[]
  } catch {
    return []
  }
}

/** All but the list of what remains, which goes last. */
async function emptyDirectory(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => [])
  for (const name of names.filter((one) => one !== REMAINS)) {
    await rm(join(directory, name), { recursive: true, force: true })
  }
}

/** One of PostgreSQL is looked into when it has been opened. */
function checkNew(database: DatabaseConfig): void {
  if (database.name === 'sqlite' && existsSync(database.path)) {
    throw new CommandFailure(`${database.path} exists already and has been left as it is`)
  }
}

function databaseSection(database: string): NonNullable<Relocation['database']> {
  return /^postgres(?:ql)?:\/\//.test(database)
    ? { name: 'psycopg2', args: { dsn: database } }
    : { name: 'sqlite3', args: { database: resolve(database) } }
}

/** True also for one that is not there. */
async function isEmptyDirectory(path: string): Promise<boolean> {
  try {
    const names = await readdir(path)
    return names.every((name) => name === CONTROL_SOCKET_NAME)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return true
    throw new CommandFailure((error as Error).message, { cause: error })
  }
}
