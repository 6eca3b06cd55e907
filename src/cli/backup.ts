import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readConfigBundle } from '../config/config-bundle.js'
import type { DatabaseConfig } from '../config/sections/database.js'
import { loadSettings } from '../config/load.js'
import {
  ArchiveWriter,
  createBackup,
  createSealingStream,
  manifestFirstLine,
  readEarlierMedia,
  type BackupReport,
  type MediaScope,
} from '../server/backup-tools.js'
import { silentLogger } from '../telemetry/logger.js'
import { systemClock } from '../util/clock.js'
import { readSecretKeys } from './backup-keys.js'
import { CommandFailure } from './failures.js'
import { Progress } from './progress.js'
import { UnfinishedFile } from './unfinished-file.js'
import { withDatabase } from './with-database.js'

export interface BackupRequest {
  readonly paths: readonly string[]
  /** A file, or `-` for standard output. Undefined: a name of its own in the current directory. */
  readonly output: string | undefined
  readonly publicKeys: readonly string[]
  readonly media: MediaScope
  /** An earlier archive, or the manifest of one. */
  readonly mediaSince: string | undefined
  /** Files with the keys that open it. */
  readonly keyFiles: readonly string[]
  /** Where to write the manifest, for later backups. */
  readonly manifest: string | undefined
  readonly level: number
  readonly signal: AbortSignal
}

export interface WrittenBackup {
  /** Undefined for standard output. */
  readonly path: string | undefined
  /** Of the file. */
  readonly bytes: number | undefined
  readonly report: BackupReport
}

/** Writes the backup of a server that may be running. Rejects with a `CommandFailure` when that cannot be done. */
export async function writeBackup(request: BackupRequest): Promise<WrittenBackup> {
  const { paths, publicKeys, mediaSince } = request
  const { config, given } = await loadSettings(paths)
  checkThere(config.database)
  const files = await readConfigBundle(paths, { given, config })
  const seal = publicKeys.length === 0 ? undefined : await createSealingStream(publicKeys)
  const earlier =
    mediaSince === undefined
      ? undefined
      : await readEarlierMedia(mediaSince, await readSecretKeys(request.keyFiles))
  const path = request.output ?? defaultName(config.server.serverName, seal !== undefined)
  const output = path === '-' ? undefined : await UnfinishedFile.create(path)
  let manifest: UnfinishedFile | undefined
  try {
    if (request.manifest !== undefined) manifest = await UnfinishedFile.create(request.manifest)
    const id = randomUUID()
    manifest?.stream.write(manifestFirstLine(id))
    const report = await withDatabase(paths, async (db) => {
      const { media, signal } = request
      const parts = { config, db, files, clock: systemClock, logger: silentLogger() }
      const backup = createBackup(parts, { id, media, earlier, signal, progress: new Progress() })
      const archive = await ArchiveWriter.create(output?.stream ?? process.stdout, {
        level: request.level,
        seal,
        modifiedTs: systemClock.now(),
        onEntry: (entry) => void manifest?.stream.write(`${JSON.stringify(entry)}\n`),
      })
      return backup.write(archive)
    })
    manifest?.stream.end()
    await manifest?.finish()
    await output?.finish()
    return { path: output?.path, bytes: output?.stream.bytesWritten, report }
  } catch (error) {
    await output?.discard()
    await manifest?.discard()
    throw explained(error as NodeJS.ErrnoException)
  }
}

/** Opening a file of SQLite that is not there would make one. */
function checkThere(database: DatabaseConfig): void {
  if (database.name !== 'sqlite' || existsSync(database.path)) return
  throw new CommandFailure(`There is no database at ${database.path}`)
}

/** `example.org-20260131T235959Z.tar.gz`, with `.sealed` where only the owner of a key can read it. */
function defaultName(serverName: string, isSealed: boolean): string {
  const time = new Date(systemClock.now()).toISOString().replace(/[-:]|\.\d+/g, '')
  return `${serverName.replace(/[^A-Za-z0-9.-]/g, '_')}-${time}.tar.gz${isSealed ? '.sealed' : ''}`
}

function explained(error: NodeJS.ErrnoException): Error {
  if (error.code === 'EPIPE')
    return new CommandFailure('Whoever was to take the archive has gone', { cause: error })
  if (error.code === 'ENOSPC')
    return new CommandFailure('There is no space left for the archive', { cause: error })
  return error
}
