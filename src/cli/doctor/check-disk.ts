import type { StatsFs } from 'node:fs'
import { stat, statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { HomeserverConfig } from '../../config/homeserver-config.js'
import { formatBytes } from '../format-bytes.js'
import type { DoctorCheck } from './doctor-check.js'
import { failure, ok, warning, type Finding } from './finding.js'

const GIB = 1024 ** 3
/** Whatever is less: large disks may be fuller. */
const FULL = { share: 0.03, bytes: GIB }
const TIGHT = { share: 0.1, bytes: 10 * GIB }
/** Of Linux' statfs: file systems on other machines. */
const REMOTE: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
])

/** Whether there is room for what is written. */
export const checkDisk: DoctorCheck = {
  name: 'disk',
  summary: 'room on the disks of the database and the files',
  usesNetwork: false,
  async run({ config }) {
    const findings: Finding[] = []
    const seen = new Set<string>()
    for (const { what, path } of placesOf(config)) {
      const directory = await nearest(resolve(path))
      const { dev } = await stat(directory)
      const found = await ofDirectory(what, directory)
      // What lies on the same disk has the same room.
      if (!seen.has(String(dev)) || found.level !== 'ok') findings.push(found)
      seen.add(String(dev))
      if (what === 'database') findings.push(...(await ofFileSystem(directory)))
    }
    return findings
  },
}

function placesOf({ database, media }: HomeserverConfig): { what: string; path: string }[] {
  const places = [{ what: 'files', path: media.storePath }]
  if (database.name === 'sqlite' && database.path !== ':memory:') {
    places.unshift({ what: 'database', path: dirname(resolve(database.path)) })
  }
  return places
}

/** The directory itself, or where it will be made. */
async function nearest(path: string): Promise<string> {
  const stats = await stat(path).catch(() => undefined)
  return stats?.isDirectory() === true || path === dirname(path) ? path : nearest(dirname(path))
}

async function ofDirectory(what: string, directory: string): Promise<Finding> {
  return assessRoom(what, directory, await statfs(directory))
}

/** What the room on a disk comes to: of `what`, at `directory`, as `statfs` says. */
export function assessRoom(
  what: string,
  directory: string,
  { bavail, blocks, bsize, files, ffree }: Pick<StatsFs, 'bavail' | 'blocks' | 'bsize' | 'files' | 'ffree'>,
): Finding {
  const free = bavail * bsize
  const share = blocks === 0 ? 1 : bavail / blocks
  const summary = `${what}: ${formatBytes(free)} free (${Math.floor(share * 100)} %) at ${directory}`
  const details = { directory, free, total: blocks * bsize }
  const cure = 'give it more room, or make some: mxhs media usage, mxhs db size'
  const consequence = 'when it is full, nothing can be sent any more'
  if (files > 0 && ffree / files < FULL.share) {
    const text = `${what}: ${ffree} inodes free at ${directory}`
    return failure(text, { consequence: 'no more files can be made, whatever room there is', cure, details })
  }
  if (free < FULL.bytes || (share < FULL.share && free < TIGHT.bytes)) {
    return failure(summary, { consequence, cure, details })
  }
  if (share < TIGHT.share && free < TIGHT.bytes) return warning(summary, { consequence, cure, details })
  return ok(summary, details)
}

async function ofFileSystem(directory: string): Promise<Finding[]> {
  return assessFileSystem((await statfs(directory)).type)
}

/** Whether SQLite may be on a file system, by the number that Linux knows it by. */
export function assessFileSystem(type: number): Finding[] {
  const name = REMOTE.get(type)
  if (name === undefined) return []
  return [
    warning(`the SQLite database is on ${name}`, {
      consequence: 'locks over the network are slow at best, and broken ones damage the database',
      cure: 'put it on a disk of this machine, or use PostgreSQL',
    }),
  ]
}
