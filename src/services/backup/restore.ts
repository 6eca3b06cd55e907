import { Readable } from 'node:stream'
import type { BundledFile } from '../../config/config-bundle.js'
import type { Database } from '../../storage/database.js'
import type { RowLoader } from '../../storage/dump/row-loader.js'
import type { UsedOnce } from '../../storage/dump/used-once.js'
import type { MediaAdministrationStore } from '../../storage/stores/media-administration.js'
import type { Clock } from '../../util/clock.js'
import type { ProgressSink } from '../../util/progress-sink.js'
import type { DirectoryStore } from '../media/file-store.js'
import type { IncomingFiles } from '../media/incoming-files.js'
import {
  ArchiveError,
  CONFIG_PREFIX,
  COUNTERS_MEMBER,
  countersSchema,
  DATABASE_PREFIX,
  MEDIA_PREFIX,
  type ArchiveHeader,
  type ArchiveSummary,
  type ManifestEntry,
} from './archive-format.js'
import { parseMember, readAll, type ArchiveMember, type ArchiveReader } from './archive-reader.js'
import { DatabaseLoad } from './database-load.js'
import type { MediaSource } from './media-source.js'

/** Where a server is put back to, which is empty. */
export interface RestorePlace {
  readonly db: Database
  /** Fills the same database in bulk. */
  readonly openLoader: () => Promise<RowLoader>
  readonly disk: DirectoryStore
  readonly incoming: IncomingFiles
  readonly administration: Pick<MediaAdministrationStore, 'deleteOfFiles'>
  readonly media: MediaSource
}

export interface RestoreOptions {
  /** Makes the place, when the files of the configuration have been read. */
  readonly prepare: (header: ArchiveHeader, config: readonly BundledFile[]) => Promise<RestorePlace>
  readonly clock: Pick<Clock, 'now'>
  readonly progress: ProgressSink
  readonly signal: AbortSignal
}

export interface RestoreReport {
  readonly header: ArchiveHeader
  readonly summary: ArchiveSummary
  readonly used: UsedOnce
  /** Files put back, from this archive and from earlier ones. */
  readonly files: number
  /** Keys of files of this server's users whose content is nowhere. */
  readonly lost: readonly string[]
  /** Files of other servers that are fetched again when somebody asks for them. */
  readonly refetched: number
}

const BATCH = 500

/**
 * Puts a server back from an archive into an empty place, and everything there is as empty again when that fails.
 * Earlier archives are those that have files which this one leaves out.
 */
export class Restore {
  readonly #archive: ArchiveReader
  readonly #options: RestoreOptions
  readonly #config: BundledFile[] = []
  #place: RestorePlace | undefined
  #load: DatabaseLoad | undefined
  #files = 0

  constructor(archive: ArchiveReader, options: RestoreOptions) {
    this.#archive = archive
    this.#options = options
  }

  /** Rejects with an `ArchiveError` for an archive that is not whole, and a place that is not empty. */
  async run(earlier: AsyncIterable<ArchiveReader>): Promise<RestoreReport> {
    try {
      return await this.#run(earlier)
    } catch (error) {
      this.#options.progress.finish()
      await this.#load?.undo()
      throw error
    }
  }

  async #run(earlier: AsyncIterable<ArchiveReader>): Promise<RestoreReport> {
    const { progress, signal, clock } = this.#options
    for await (const member of this.#archive.members()) {
      signal.throwIfAborted()
      await this.#take(member)
    }
    progress.finish()
    const { header, summary } = this.#archive
    const place = this.#place
    if (place === undefined || this.#load === undefined)
      throw new ArchiveError('There is no database in the archive')
    await this.#takeFromEarlier(place, earlier)
    const used = await this.#load.finish(summary, clock)
    return { header, summary, used, files: this.#files, ...(await this.#checkFiles(place)) }
  }

  async #take(member: ArchiveMember): Promise<void> {
    const { path, size, content } = member
    if (path.startsWith(CONFIG_PREFIX)) {
      this.#config.push(this.#toFile(path, await readAll(content, size)))
    } else if (path.startsWith(DATABASE_PREFIX)) {
      const load = await this.#database()
      const bytes = await readAll(content, size)
      if (path === COUNTERS_MEMBER) load.setCounters(parseMember(bytes, path, countersSchema))
      else this.#options.progress.advance(await load.add(path, bytes))
    } else if (path.startsWith(MEDIA_PREFIX)) {
      await this.#keep(await this.#prepared(), member)
    } else throw new ArchiveError(`Nobody knows what ${path} is`)
  }

  #toFile(member: string, content: Buffer): BundledFile {
    const about = this.#archive.header.config.find((file) => file.member === member)
    if (about === undefined)
      throw new ArchiveError(`${member} is a file of the configuration that the archive does not describe`)
    const { path, mode, role, keys, within } = about
    return { path, content, mode, role, keys, ...(within === undefined ? {} : { within }) }
  }

  async #prepared(): Promise<RestorePlace> {
    this.#place ??= await this.#options.prepare(this.#archive.header, this.#config)
    return this.#place
  }

  async #database(): Promise<DatabaseLoad> {
    if (this.#load !== undefined) return this.#load
    const load = new DatabaseLoad(await this.#prepared(), this.#archive.header)
    await load.begin()
    this.#load = load
    this.#options.progress.start('Rows', undefined, 'rows')
    return load
  }

  async #keep({ disk, incoming }: RestorePlace, { path, content }: ArchiveMember): Promise<void> {
    if (this.#files++ === 0) this.#options.progress.start('Files', undefined, 'files')
    const file = await incoming.receive(Readable.from(content), {
      maxBytes: Infinity,
      tooLarge: () => new Error('There is no limit'),
    })
    await disk.adopt(path.slice(MEDIA_PREFIX.length), file.path)
    this.#options.progress.advance(1)
  }

  /** Files that this archive leaves out. Rejects with an `ArchiveError` when an archive that has some is not given. */
  async #takeFromEarlier(place: RestorePlace, earlier: AsyncIterable<ArchiveReader>): Promise<void> {
    const wanted = new Map(this.#archive.elsewhere.map((entry) => [entry.path, entry]))
    for await (const reader of earlier) {
      for await (const member of reader.members()) {
        this.#options.signal.throwIfAborted()
        if (wanted.get(member.path)?.in !== reader.header.id) continue
        await this.#keep(place, member)
        wanted.delete(member.path)
      }
    }
    const [missing] = wanted.values()
    if (missing !== undefined) throw new ArchiveError(missingArchive(missing, wanted.size))
  }

  async #checkFiles({
    media,
    administration,
    db,
  }: RestorePlace): Promise<{ lost: string[]; refetched: number }> {
    const lost: string[] = []
    const foreign: string[] = []
    for await (const { key, isLocal } of media.list('all')) {
      if ((await media.sizeOf(key)) === undefined) (isLocal ? lost : foreign).push(key)
    }
    for (let start = 0; start < foreign.length; start += BATCH) {
      const keys = foreign.slice(start, start + BATCH)
      await db.write('forget_files', (tx) => administration.deleteOfFiles(tx, keys))
    }
    return { lost, refetched: foreign.length }
  }
}

function missingArchive(entry: ManifestEntry, count: number): string {
  return `${count} files are in earlier archives that were not given (${entry.path} in that with the ID ${entry.in})`
}
