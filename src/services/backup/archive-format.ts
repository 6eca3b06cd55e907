/**
 * A backup is a tar archive in gzip, perhaps sealed as a whole (`sealed-stream.ts`). Its members, in this order:
 *
 * - `backup.json`: what it is (`ArchiveHeader`);
 * - `config/...`: the files of the configuration and those that it names;
 * - `database/counters.json`, `database/<table>/<n>.jsonl`: rows, a JSON array a line, in the order of the columns;
 * - `media/<key>`: files, by their keys in the stores;
 * - `manifest/<n>.jsonl`, after every so many others: of each member before it, as a line, its size and SHA-256;
 * - `summary.json`: the last, which says that nothing is missing (`ArchiveSummary`).
 */
import { z } from 'zod'
import type { KeyPath } from '../../config/config-error.js'
import type { Counters } from '../../storage/dump/counters.js'
import type { TableShape } from '../../storage/dump/table-catalog.js'

export const ARCHIVE_FORMAT = 1
export const HEADER_MEMBER = 'backup.json'
export const SUMMARY_MEMBER = 'summary.json'
export const COUNTERS_MEMBER = 'database/counters.json'
export const CONFIG_PREFIX = 'config/'
export const DATABASE_PREFIX = 'database/'
export const MEDIA_PREFIX = 'media/'
export const MANIFEST_PREFIX = 'manifest/'

/** What a file of the configuration is. */
export interface ConfigMember {
  readonly member: string
  /** Where it was: absolute. */
  readonly path: string
  /** Its permissions, as in 0o600. */
  readonly mode: number
  /** As in `BundledFile`. */
  readonly role: 'main' | 'named' | 'signing-key'
  readonly keys: readonly KeyPath[]
  readonly within?: string | undefined
}

/** What an archive says of itself before all else. */
export interface ArchiveHeader {
  readonly format: number
  /** Of this archive alone. */
  readonly id: string
  /** Everything that was acknowledged before is in it. */
  readonly createdTs: number
  readonly serverName: string
  /** The program, as in `mxhs 1.2.3`. */
  readonly program: string
  /** Of which the rows were read: they fit the other as well. */
  readonly engine: 'sqlite' | 'postgres'
  /** The names of the steps that its schema consists of. */
  readonly migrations: readonly string[]
  readonly tables: readonly TableShape[]
  readonly config: readonly ConfigMember[]
  /** Which files are in it: all, those of this server's users, or none. */
  readonly media: MediaScope
}

export type MediaScope = 'all' | 'local' | 'none'

const count = z.int().nonnegative()
const text = z.string()

const tableShape = z.object({
  name: text.regex(/^[a-z_][a-z0-9_]*$/),
  columns: z.array(z.object({ name: text, type: z.enum(['text', 'integer', 'real', 'boolean', 'blob']) })),
  key: z.array(text),
})

const configMember = z.object({
  member: text,
  path: text,
  mode: count.max(0o777),
  role: z.enum(['main', 'named', 'signing-key']),
  keys: z.array(z.array(z.union([text, count]))),
  within: text.optional(),
})

export const archiveHeaderSchema: z.ZodType<ArchiveHeader> = z.object({
  format: z.literal(ARCHIVE_FORMAT),
  id: text,
  createdTs: count,
  serverName: text,
  program: text,
  engine: z.enum(['sqlite', 'postgres']),
  migrations: z.array(text),
  tables: z.array(tableShape),
  config: z.array(configMember),
  media: z.enum(['all', 'local', 'none']),
})

/** A member, as the manifest lists it. */
export interface ManifestEntry {
  readonly path: string
  /** In bytes. */
  readonly size: number
  /** In hexadecimal. */
  readonly sha256: string
  /** The archive that has the content, where this one leaves it out because an earlier one has it. */
  readonly in?: string
}

export interface ArchiveCounts {
  readonly tables: number
  readonly rows: number
  readonly configFiles: number
  /** Those in the archive itself. */
  readonly mediaFiles: number
  readonly mediaBytes: number
  /** Those that earlier archives have. */
  readonly mediaElsewhere: number
}

/** What an archive says at its end. */
export interface ArchiveSummary {
  readonly id: string
  readonly members: number
  readonly counts: ArchiveCounts
  /** Rows by table. */
  readonly rows: Readonly<Record<string, number>>
  /** SHA-256 in hexadecimal over all parts of the manifest, one after the other. */
  readonly manifest: string
}

export const manifestEntrySchema: z.ZodType<ManifestEntry> = z.object({
  path: text,
  size: count,
  sha256: text.regex(/^[0-9a-f]{64}$/),
  in: text.exactOptional(),
})

export const countersSchema: z.ZodType<Counters> = z.object({
  sequences: z.record(text, z.int()),
  identities: z.record(text, z.int()),
})

export const archiveSummarySchema: z.ZodType<ArchiveSummary> = z.object({
  id: text,
  members: count,
  counts: z.object({
    tables: count,
    rows: count,
    configFiles: count,
    mediaFiles: count,
    mediaBytes: count,
    mediaElsewhere: count,
  }),
  rows: z.record(text, count),
  manifest: text,
})

/** An archive cannot be used; the message says why. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError'
}
