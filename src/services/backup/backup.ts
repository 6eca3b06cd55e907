import { basename } from 'node:path'
import type { BundledFile } from '../../config/config-bundle.js'
import type { Database, Query } from '../../storage/database.js'
import { isEmptyDatabase, listMigrations } from '../../storage/dump/dump-schema.js'
import { listTables } from '../../storage/dump/table-catalog.js'
import type { Clock } from '../../util/clock.js'
import type { ProgressSink } from '../../util/progress-sink.js'
import { CONTENT_DIRECTORY } from '../media/file-keys.js'
import {
  ARCHIVE_FORMAT,
  ArchiveError,
  CONFIG_PREFIX,
  MEDIA_PREFIX,
  type ArchiveHeader,
  type ArchiveSummary,
  type ConfigMember,
  type MediaScope,
} from './archive-format.js'
import type { ArchiveWriter } from './archive-writer.js'
import { dumpDatabase } from './database-dump.js'
import type { EarlierMedia } from './earlier-media.js'
import type { MediaSource } from './media-source.js'

export interface BackupDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly media: MediaSource
  readonly config: readonly BundledFile[]
  readonly serverName: string
  /** As in `mxhs 1.2.3`. */
  readonly program: string
}

export interface BackupOptions {
  /** Of the archive. */
  readonly id: string
  readonly media: MediaScope
  /** Files that are left out, because earlier archives have them. */
  readonly earlier?: EarlierMedia | undefined
  readonly progress: ProgressSink
  /** Gives up when it aborts. */
  readonly signal: AbortSignal
}

/** What has been written, and what there is to say of the files. */
export interface BackupReport {
  readonly header: ArchiveHeader
  readonly summary: ArchiveSummary
  /** Keys of files that no store has. */
  readonly lost: readonly string[]
  /** Keys of files whose content is not what it was. */
  readonly damaged: readonly string[]
}

/** Made anew when somebody asks for them. */
const DERIVED_TABLES: ReadonlySet<string> = new Set(['media_thumbnails'])

/**
 * Writes everything that a server consists of into an archive, while the server may run: the rows are of one moment,
 * files are those that rows refer to shortly after. Rejects when that cannot be read or written; then the archive is
 * none.
 */
export class Backup {
  readonly #deps: BackupDependencies
  readonly #options: BackupOptions

  constructor(deps: BackupDependencies, options: BackupOptions) {
    this.#deps = deps
    this.#options = options
  }

  async write(archive: ArchiveWriter): Promise<BackupReport> {
    const { signal } = this.#options
    // Also where nothing takes what is written.
    const onAbort = (): void => void archive.abort(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await this.#write(archive)
    } catch (error) {
      await archive.abort(error as Error)
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async #write(archive: ArchiveWriter): Promise<BackupReport> {
    const { config, db } = this.#deps
    let isBegun = false
    const { header, rows } = await db.read('backup', (q) => {
      // What has been written cannot be written again.
      if (isBegun) throw new Error('The database has ended the transaction of the backup')
      isBegun = true
      return this.#writeRows(q, archive)
    })
    const files = await this.#writeFiles(archive)
    const summary = await archive.finish(
      {
        tables: header.tables.length,
        rows: Object.values(rows).reduce((sum, count) => sum + count, 0),
        configFiles: config.length,
        ...files.counts,
      },
      rows,
    )
    return { header, summary, lost: files.lost, damaged: files.damaged }
  }

  async #writeRows(
    q: Query,
    archive: ArchiveWriter,
  ): Promise<{ header: ArchiveHeader; rows: Record<string, number> }> {
    const { config, clock, serverName, program } = this.#deps
    const { media, progress } = this.#options
    // Before the first statement, with which the moment begins whose rows are read.
    const createdTs = clock.now()
    if (await isEmptyDatabase(q)) throw new ArchiveError('There is nothing in the database yet')
    const tables = (await listTables(q)).filter(({ name }) => !DERIVED_TABLES.has(name))
    const members = config.map(toMember)
    const header: ArchiveHeader = {
      format: ARCHIVE_FORMAT,
      id: this.#options.id,
      createdTs,
      serverName,
      program,
      engine: q.dialect.name,
      migrations: await listMigrations(q),
      tables,
      config: members,
      media,
    }
    await archive.begin(header)
    for (const [index, { content }] of config.entries()) await archive.add(members[index]!.member, content)
    const rows = await dumpDatabase(q, archive, { tables, progress, signal: this.#options.signal })
    return { header, rows }
  }

  async #writeFiles(archive: ArchiveWriter) {
    const { media } = this.#deps
    const { progress, signal, earlier, media: scope } = this.#options
    const counts = { mediaFiles: 0, mediaBytes: 0, mediaElsewhere: 0 }
    const lost: string[] = []
    const damaged: string[] = []
    if (scope === 'none') return { counts, lost, damaged }
    archive.stopCompressing()
    progress.start('Files', await media.total(), 'bytes')
    try {
      for await (const { key } of media.list(scope)) {
        signal.throwIfAborted()
        const known = earlier?.get(MEDIA_PREFIX + key)
        if (known !== undefined && known.size === (await media.sizeOf(key))) {
          await archive.addElsewhere(known)
          counts.mediaElsewhere++
          progress.advance(known.size)
          continue
        }
        const content = await media.open(key)
        if (content === undefined) {
          lost.push(key)
          continue
        }
        const { size, sha256 } = await archive.add(MEDIA_PREFIX + key, content)
        if (!fits(key, sha256)) damaged.push(key)
        counts.mediaFiles++
        counts.mediaBytes += size
        progress.advance(size)
      }
    } finally {
      progress.finish()
    }
    return { counts, lost, damaged }
  }
}

/** Whether content is what its key says; keys of files that were taken over say nothing. */
function fits(key: string, sha256: string): boolean {
  return !key.startsWith(`${CONTENT_DIRECTORY}/`) || basename(key) === sha256
}

function toMember({ path, mode, role, keys, within }: BundledFile, index: number): ConfigMember {
  const member = `${CONFIG_PREFIX}${String(index).padStart(3, '0')}-${basename(path)}`
  return { member, path, mode, role, keys, ...(within === undefined ? {} : { within }) }
}
