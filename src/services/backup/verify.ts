import {
  DATABASE_PREFIX,
  COUNTERS_MEMBER,
  ArchiveError,
  type ArchiveHeader,
  type ArchiveSummary,
} from './archive-format.js'
import { readAll, type ArchiveReader } from './archive-reader.js'

export interface VerifyReport {
  readonly header: ArchiveHeader
  readonly summary: ArchiveSummary
  readonly isSealed: boolean
  /** The archives without which this one cannot be restored. */
  readonly needs: readonly string[]
}

/**
 * Reads an archive to its end: that nothing is missing or has changed, and that each table has as many rows as it says.
 * Rejects with an `ArchiveError` that says what is wrong.
 */
export async function verifyArchive(archive: ArchiveReader): Promise<VerifyReport> {
  const rows = new Map<string, number>()
  for await (const { path, size, content } of archive.members()) {
    if (path.startsWith(DATABASE_PREFIX) && path !== COUNTERS_MEMBER) {
      const table = path.slice(DATABASE_PREFIX.length).split('/', 1)[0]!
      rows.set(table, (rows.get(table) ?? 0) + countLines(await readAll(content, size)))
    }
  }
  const { header, summary, isSealed, elsewhere } = archive
  for (const [table, count] of Object.entries(summary.rows)) {
    const found = rows.get(table) ?? 0
    if (found !== count)
      throw new ArchiveError(`The table ${table} has ${found} rows, and should have ${count}`)
  }
  const needs = new Set(elsewhere.map((entry) => entry.in!))
  return { header, summary, isSealed, needs: [...needs] }
}

function countLines(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count++
  return count
}
