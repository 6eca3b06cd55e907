import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { ArchiveError, manifestEntrySchema, MEDIA_PREFIX, type ManifestEntry } from './archive-format.js'
import { ArchiveReader, drain, parseMember } from './archive-reader.js'

/** Files that earlier archives have, by their members. */
export type EarlierMedia = ReadonlyMap<string, ManifestEntry & { readonly in: string }>

/** The first line of a manifest that stands by itself: whose it is. */
const manifestHead = z.object({ archive: z.string() })

/** What a manifest that stands by itself begins with. */
export function manifestFirstLine(archiveId: string): string {
  return `${JSON.stringify({ archive: archiveId })}\n`
}

/**
 * Which files are in an archive, or in those that it goes on from: by its manifest, or by the archive itself, which is
 * read to its end. Rejects with an `ArchiveError` for what is neither.
 */
export async function readEarlierMedia(path: string, secretKeys: readonly string[]): Promise<EarlierMedia> {
  const files = new Map<string, ManifestEntry & { readonly in: string }>()
  const add = (entry: ManifestEntry, archive: string): void => {
    if (entry.path.startsWith(MEDIA_PREFIX)) files.set(entry.path, { ...entry, in: entry.in ?? archive })
  }
  if (await isManifest(path)) await readManifest(path, add)
  else {
    const reader = await ArchiveReader.open(createReadStream(path), {
      secretKeys,
      onEntry: (entry) => add(entry, reader.header.id),
    })
    await drain(reader.members())
  }
  return files
}

async function isManifest(path: string): Promise<boolean> {
  for await (const chunk of createReadStream(path, { end: 0 }))
    return (chunk as Buffer).toString('latin1') === '{'
  throw new ArchiveError(`${path} is empty`)
}

async function readManifest(
  path: string,
  add: (entry: ManifestEntry, archive: string) => void,
): Promise<void> {
  let archive: string | undefined
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    if (archive === undefined) ({ archive } = parseMember(line, path, manifestHead))
    else add(parseMember(line, path, manifestEntrySchema), archive)
  }
}
