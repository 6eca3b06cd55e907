import { createHash } from 'node:crypto'
import { PassThrough, type Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { z } from 'zod'
import {
  ARCHIVE_FORMAT,
  ArchiveError,
  archiveHeaderSchema,
  archiveSummarySchema,
  HEADER_MEMBER,
  MANIFEST_PREFIX,
  manifestEntrySchema,
  SUMMARY_MEMBER,
  type ArchiveHeader,
  type ArchiveSummary,
  type ManifestEntry,
} from './archive-format.js'
import { createOpeningStream, SEALED_MAGIC } from './sealed-stream.js'

/** A member as it comes. Its content is read, or passed over when the next is asked for. */
export interface ArchiveMember {
  readonly path: string
  /** In bytes. */
  readonly size: number
  readonly content: AsyncIterable<Buffer>
}

/** A member as tar-stream gives it. */
interface Entry extends AsyncIterable<Buffer> {
  readonly header: { readonly name: string; readonly size: number }
}

interface OpenedArchive {
  readonly isSealed: boolean
  readonly entries: AsyncIterator<Entry>
}

/** Many more than come before they are listed. */
const MAX_UNLISTED = 100_000
/** Members that are read as a whole are no larger. */
const MAX_WHOLE_BYTES = 256 * 1024 * 1024

export interface OpenArchiveOptions {
  /** That may open a sealed archive. */
  readonly secretKeys: readonly string[]
  /** Told of each line of the manifest, once what it lists is known to be right. */
  readonly onEntry?: (entry: ManifestEntry) => void
}

/**
 * Reads an archive from its beginning to its end, and holds every member against the manifest. What has been read is
 * known to be right only when `members` has come to its end.
 */
export class ArchiveReader {
  readonly header: ArchiveHeader
  readonly isSealed: boolean
  /** Members that earlier archives have; complete at the end. */
  readonly elsewhere: ManifestEntry[] = []
  readonly #entries: AsyncIterator<Entry>
  readonly #onEntry: OpenArchiveOptions['onEntry']
  readonly #manifest = createHash('sha256')
  /** Of members behind the last part of the manifest. */
  #unlisted: ManifestEntry[] = []
  #count = 0
  #summary: ArchiveSummary | undefined

  private constructor(
    { header, entry }: { header: ArchiveHeader; entry: ManifestEntry },
    { entries, isSealed, onEntry }: OpenedArchive & Pick<OpenArchiveOptions, 'onEntry'>,
  ) {
    this.header = header
    this.isSealed = isSealed
    this.#entries = entries
    this.#onEntry = onEntry
    this.#unlisted.push(entry)
  }

  /** Reads the header. Rejects with an `ArchiveError` for what is no archive, or none that this program can read. */
  static async open(source: Readable, options: OpenArchiveOptions): Promise<ArchiveReader> {
    const { isSealed, entries } = await openEntries(source, options)
    const first = await nextEntry(entries)
    if (first?.header.name !== HEADER_MEMBER) throw new ArchiveError('This is no backup of mxhs')
    const bytes = await readAll(first, first.header.size)
    const { format } = parseMember(bytes, HEADER_MEMBER, z.looseObject({ format: z.number() }))
    if (format > ARCHIVE_FORMAT) {
      throw new ArchiveError(`The archive has the format ${format}: a newer version of mxhs can read it`)
    }
    const header = parseMember(bytes, HEADER_MEMBER, archiveHeaderSchema)
    return new ArchiveReader(
      { header, entry: entryOf(HEADER_MEMBER, bytes) },
      { entries, isSealed, ...options },
    )
  }

  /** What the archive says at its end. Throws before that has come. */
  get summary(): ArchiveSummary {
    if (this.#summary === undefined) throw new Error('The archive has not come to its end')
    return this.#summary
  }

  /**
   * The members behind the header. Throws an `ArchiveError` as soon as something is not as the manifest says, and at the
   * end when something is missing.
   */
  async *members(): AsyncGenerator<ArchiveMember> {
    for (
      let entry = await nextEntry(this.#entries);
      entry !== undefined;
      entry = await nextEntry(this.#entries)
    ) {
      const path = entry.header.name
      const size = entry.header.size
      if (this.#summary !== undefined) throw new ArchiveError(`${path} stands behind the end of the archive`)
      const content = entry
      if (path.startsWith(MANIFEST_PREFIX)) this.#check(await readAll(content, size), path)
      else if (path === SUMMARY_MEMBER)
        this.#finish(parseMember(await readAll(content, size), path, archiveSummarySchema))
      else yield* this.#member(path, { size, content })
    }
    if (this.#summary === undefined) throw new ArchiveError('The archive ends too early')
  }

  async *#member(
    path: string,
    { size, content }: { size: number; content: AsyncIterable<Buffer> },
  ): AsyncGenerator<ArchiveMember> {
    const hash = createHash('sha256')
    const hashed = hashing(content, hash)
    yield { path, size, content: hashed }
    // What nobody has wanted to read counts as well.
    await drain(hashed)
    this.#unlisted.push({ path, size, sha256: hash.digest('hex') })
    if (this.#unlisted.length > MAX_UNLISTED) throw new ArchiveError('There are no lists in the archive')
  }

  /** Holds what has come against a part of the manifest. */
  #check(bytes: Buffer, path: string): void {
    this.#manifest.update(bytes)
    const come = this.#unlisted.values()
    for (const line of bytes.toString('utf8').split('\n')) {
      if (line === '') continue
      const listed = parseMember(line, path, manifestEntrySchema)
      this.#count++
      if (listed.in !== undefined) {
        this.elsewhere.push(listed)
        this.#onEntry?.(listed)
        continue
      }
      const found = come.next().value
      if (found?.path !== listed.path) throw new ArchiveError(`${listed.path} is missing`)
      if (found.size !== listed.size || found.sha256 !== listed.sha256) {
        throw new ArchiveError(`${listed.path} is not what was written: its SHA-256 differs`)
      }
      this.#onEntry?.(listed)
    }
    const more = come.next().value
    if (more !== undefined) throw new ArchiveError(`${more.path} is in no list of the archive`)
    this.#unlisted = []
  }

  #finish(summary: ArchiveSummary): void {
    const unlisted = this.#unlisted[0]
    if (unlisted !== undefined) throw new ArchiveError(`${unlisted.path} is in no list of the archive`)
    const isWhole = summary.members === this.#count && summary.manifest === this.#manifest.digest('hex')
    if (summary.id !== this.header.id || !isWhole) {
      throw new ArchiveError('The lists of the archive are not those that were written')
    }
    this.#summary = summary
  }
}

/** Reads something to its end, for what is found out on the way. */
export async function drain(content: AsyncGenerator): Promise<void> {
  while ((await content.next()).done !== true) continue
}

/** All of a member. Rejects with an `ArchiveError` for one that is too large to be meant so. */
export async function readAll(content: AsyncIterable<Buffer>, size: number): Promise<Buffer> {
  if (size > MAX_WHOLE_BYTES) throw new ArchiveError('A member of the archive is too large')
  const chunks: Buffer[] = []
  try {
    for await (const chunk of content) chunks.push(chunk)
  } catch (error) {
    throw explained(error as NodeJS.ErrnoException)
  }
  return Buffer.concat(chunks)
}

/** A member of JSON. Throws an `ArchiveError` for what is none, or not as it should be. */
export function parseMember<T>(bytes: Buffer | string, path: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(bytes.toString()))
  } catch (error) {
    throw new ArchiveError(`${path} is damaged`, { cause: error })
  }
}

function entryOf(path: string, bytes: Buffer): ManifestEntry {
  return { path, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
}

async function* hashing(
  content: AsyncIterable<Buffer>,
  hash: { update(chunk: Buffer): unknown },
): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of content) {
      hash.update(chunk)
      yield chunk
    }
  } catch (error) {
    throw explained(error as NodeJS.ErrnoException)
  }
}

async function openEntries(source: Readable, { secretKeys }: OpenArchiveOptions): Promise<OpenedArchive> {
  const { default: tar } = await import('tar-stream')
  const { head, rest } = await takeHead(source, SEALED_MAGIC.length)
  const isSealed = head.toString('latin1') === SEALED_MAGIC
  const isGzip = head[0] === 0x1f && head[1] === 0x8b
  if (!isSealed && !isGzip) throw new ArchiveError('This is no backup of mxhs')
  const members = tar.extract()
  const stages: Transform[] = isSealed ? [await createOpeningStream(secretKeys)] : []
  // Errors of any stage end the last, and so come to whoever reads from it.
  pipeline([rest, ...stages, createGunzip(), members as unknown as NodeJS.WritableStream]).catch(
    () => undefined,
  )
  return {
    isSealed,
    entries: (members as AsyncIterable<unknown> as AsyncIterable<Entry>)[Symbol.asyncIterator](),
  }
}

/** The first bytes of a stream, and a stream with all of it. */
async function takeHead(source: Readable, size: number): Promise<{ head: Buffer; rest: Readable }> {
  const rest = new PassThrough()
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of source.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk as Buffer)
    length += (chunk as Buffer).length
    if (length >= size) break
  }
  const begin = Buffer.concat(chunks)
  rest.write(begin)
  source.once('error', (error) => rest.destroy(error))
  if (source.readableEnded) rest.end()
  else source.pipe(rest)
  return { head: begin.subarray(0, size), rest }
}

async function nextEntry(entries: AsyncIterator<Entry>): Promise<Entry | undefined> {
  try {
    const { value, done } = (await entries.next()) as IteratorResult<Entry, undefined>
    return done === true ? undefined : value
  } catch (error) {
    throw explained(error as NodeJS.ErrnoException)
  }
}

function explained(error: NodeJS.ErrnoException): Error {
  if (error instanceof ArchiveError) return error
  if (error.code === 'Z_BUF_ERROR' || error.message === 'Unexpected end of data') {
    return new ArchiveError('The archive ends too early', { cause: error })
  }
  if (error.code?.startsWith('Z_') === true) {
    return new ArchiveError(`The archive is damaged: ${error.message}`, { cause: error })
  }
  return error
}
