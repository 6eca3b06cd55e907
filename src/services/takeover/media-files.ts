import { copyFile, mkdir, rename, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { countRows, numberOf, readPages } from '../../storage/synapse/rows.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import type { ServerName } from '../../protocol/ids.js'
import type { ProgressSink } from '../../util/progress-sink.js'
import { MEDIA_COPIES } from './copies/media.js'

export interface MediaFilesOptions {
  readonly source: SynapseSource
  readonly serverName: ServerName
  /** The directories of files there and here; the same where files stay where they are. */
  readonly from: string
  readonly to: string
  readonly progress: ProgressSink
}

/** What became of files. */
export interface MediaFilesReport {
  readonly files: number
  readonly copied: number
  readonly bytes: number
  /** Not on the source's disk: lost, or in another store. */
  readonly missing: number
}

/** How many files are copied at the same time. */
const PARALLEL = 8

/**
 * Copies the files of a Synapse to where this server looks for them, under the same names; those that are there already
 * are left alone. With one directory for both it only looks whether they are there.
 */
export async function copyMediaFiles(options: MediaFilesOptions): Promise<MediaFilesReport> {
  const { source, progress } = options
  const report = { files: 0, copied: 0, bytes: 0, missing: 0 }
  for (const copy of MEDIA_COPIES) {
    progress.start(copy.what, await countRows(source, copy.from), 'files')
    for await (const page of readPages(source, copy.from)) {
      const keys = page.flatMap((row) => {
        const copied = copy.toRow(row, { ...FACTS, serverName: options.serverName })
        const key = copied?.['file_key']
        return typeof key === 'string' && isSafe(key) ? [{ key, length: numberOf(row['media_length']) }] : []
      })
      for (let start = 0; start < keys.length; start += PARALLEL) {
        const results = await Promise.all(
          keys.slice(start, start + PARALLEL).map(({ key, length }) => copyOne(options, key, length)),
        )
        for (const result of results) {
          report.files += 1
          if (result === 'missing') report.missing += 1
          else if (result > 0) report.copied += 1
          report.bytes += result === 'missing' ? 0 : result
        }
      }
      progress.advance(page.length)
    }
  }
  progress.finish()
  return report
}

const FACTS = { now: 0, roomNid: () => undefined, newestPosition: 0 } as const

/** Names come from a database: none leads out of the directory. */
function isSafe(key: string): boolean {
  return key.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
}

/** How many bytes were copied: none where the file is there. */
async function copyOne(
  { from, to }: MediaFilesOptions,
  key: string,
  length: number | undefined,
): Promise<number | 'missing'> {
  const original = await stat(join(from, key)).catch(() => undefined)
  if (!original?.isFile()) return 'missing'
  if (from === to) return 0
  const target = join(to, key)
  const existing = await stat(target).catch(() => undefined)
  if (existing?.size === (length ?? original.size)) return 0
  await mkdir(dirname(target), { recursive: true })
  const unfinished = `${target}.incoming`
  await copyFile(join(from, key), unfinished)
  await rename(unfinished, target)
  return original.size
}
