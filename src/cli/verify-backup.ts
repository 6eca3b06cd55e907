import { statSync } from 'node:fs'
import { ArchiveReader, verifyArchive, type VerifyReport } from '../server/backup-tools.js'
import { readSecretKeys } from './backup-keys.js'
import { Progress } from './progress.js'
import { openInput } from './restore.js'

/** Reads an archive to its end. Rejects with an `ArchiveError` that says what is wrong with it. */
export async function verifyInput(path: string, keyFiles: readonly string[]): Promise<VerifyReport> {
  const secretKeys = await readSecretKeys(keyFiles)
  const progress = new Progress()
  const input = openInput(path)
  progress.start('Reading', path === '-' ? undefined : statSync(path).size, 'bytes')
  try {
    input.on('data', (chunk: Buffer) => progress.advance(chunk.length)).pause()
    return await verifyArchive(await ArchiveReader.open(input, { secretKeys }))
  } finally {
    progress.finish()
  }
}
