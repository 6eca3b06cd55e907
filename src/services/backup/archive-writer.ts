import { createHash, type Hash } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import type { Readable, Transform, Writable } from 'node:stream'
import type { Pack } from 'tar-stream'
import {
  HEADER_MEMBER,
  MANIFEST_PREFIX,
  SUMMARY_MEMBER,
  type ArchiveCounts,
  type ArchiveHeader,
  type ArchiveSummary,
  type ManifestEntry,
} from './archive-format.js'
import { GzipMembers } from './gzip-members.js'

/** A part of the manifest comes after so many members. */
const MANIFEST_EVERY = 1_000
const PRIVATE_MODE = 0o600

export interface ArchiveWriterOptions {
  /** From 0 (none) to 9. */
  readonly level: number
  /** Seals what is written. */
  readonly seal?: Transform | undefined
  /** Of all members, and of the archive. */
  readonly modifiedTs: number
  /** Told of each line of the manifest. */
  readonly onEntry?: ((entry: ManifestEntry) => void) | undefined
}

/** The content of a member: as a whole, or as a stream of so many bytes. */
export type MemberContent = Buffer | { readonly size: number; readonly stream: Readable }

/**
 * Writes the members of an archive, one after the other, and what each of them consists of. Nothing is ever whole in
 * memory but what is given so.
 */
export class ArchiveWriter {
  readonly #pack: Pack
  readonly #gzip: GzipMembers
  readonly #done: Promise<void>
  readonly #options: ArchiveWriterOptions
  readonly #manifest: Hash = createHash('sha256')
  #entries: ManifestEntry[] = []
  #parts = 0
  #members = 0
  #id = ''
  /** Why nothing takes what is written any more. */
  #failure: Error | undefined
  #onFailure: ((error: Error) => void) | undefined

  private constructor(pack: Pack, target: Writable, options: ArchiveWriterOptions) {
    this.#pack = pack
    this.#options = options
    this.#gzip = new GzipMembers(options.level)
    const { seal } = options
    this.#done = seal ? pipeline(pack, this.#gzip, seal, target) : pipeline(pack, this.#gzip, target)
    // Whoever adds a member, or ends, is told.
    this.#done.catch((error: unknown) => {
      this.#failure = error as Error
      this.#onFailure?.(this.#failure)
    })
  }

  static async create(target: Writable, options: ArchiveWriterOptions): Promise<ArchiveWriter> {
    const { default: tar } = await import('tar-stream')
    return new ArchiveWriter(tar.pack(), target, options)
  }

  /** To be called first. */
  async begin(header: ArchiveHeader): Promise<void> {
    this.#id = header.id
    await this.add(HEADER_MEMBER, jsonBytes(header))
  }

  /**
   * Adds a member and gives its entry of the manifest. Rejects when what comes is not as long as announced, or when
   * nobody takes what is written any more.
   */
  async add(path: string, content: MemberContent): Promise<ManifestEntry> {
    const entry = await this.#write(path, content)
    await this.#list(entry)
    return entry
  }

  /** Lists a member that an earlier archive has. */
  async addElsewhere(entry: ManifestEntry & { readonly in: string }): Promise<void> {
    await this.#list(entry)
  }

  /** What comes is not made smaller by compression: files, mostly pictures or encrypted. */
  stopCompressing(): void {
    if (this.#options.level > 0) this.#gzip.changeLevel(0)
  }

  /** Ends the archive; resolves when everything has been taken. */
  async finish(counts: ArchiveCounts, rows: Readonly<Record<string, number>>): Promise<ArchiveSummary> {
    await this.#writeManifest()
    const manifest = this.#manifest.digest('hex')
    const summary: ArchiveSummary = { id: this.#id, members: this.#members, counts, rows, manifest }
    await this.#write(SUMMARY_MEMBER, jsonBytes(summary))
    this.#pack.finalize()
    await this.#done
    return summary
  }

  /** Gives up: what has been written is no archive. */
  async abort(error: Error): Promise<void> {
    this.#pack.destroy(error)
    await this.#done.catch(() => undefined)
  }

  async #list(entry: ManifestEntry): Promise<void> {
    this.#members++
    this.#entries.push(entry)
    this.#options.onEntry?.(entry)
    if (this.#entries.length >= MANIFEST_EVERY) await this.#writeManifest()
  }

  async #writeManifest(): Promise<void> {
    const bytes = Buffer.from(this.#entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
    this.#entries = []
    this.#manifest.update(bytes)
    await this.#write(`${MANIFEST_PREFIX}${String(this.#parts++).padStart(6, '0')}.jsonl`, bytes)
  }

  async #write(path: string, content: MemberContent): Promise<ManifestEntry> {
    if (this.#failure !== undefined) throw this.#failure
    const size = Buffer.isBuffer(content) ? content.length : content.size
    const hash = createHash('sha256')
    const header = { name: path, size, mode: PRIVATE_MODE, mtime: new Date(this.#options.modifiedTs) }
    await new Promise<void>((resolve, reject) => {
      // Then nothing takes what waits here.
      this.#onFailure = reject
      const member = this.#pack.entry(header, (error) => {
        if (error) reject(error)
        else resolve()
      }) as unknown as Writable
      member.on('error', reject)
      copy(content, member, hash).catch(reject)
    })
    return { path, size, sha256: hash.digest('hex') }
  }
}

async function copy(content: MemberContent, member: Writable, hash: Hash): Promise<void> {
  const chunks = Buffer.isBuffer(content) ? [content] : (content.stream as AsyncIterable<Buffer>)
  let missing = Buffer.isBuffer(content) ? content.length : content.size
  for await (const chunk of chunks) {
    missing -= chunk.length
    if (missing < 0) break
    hash.update(chunk)
    if (!member.write(chunk)) await new Promise<void>((resolve) => member.once('drain', resolve))
  }
  if (missing !== 0) throw new Error('A file is not as long as it was a moment ago')
  member.end()
}

function jsonBytes(value: object): Buffer {
  return Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`)
}
