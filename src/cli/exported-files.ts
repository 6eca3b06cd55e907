import { createReadStream } from 'node:fs'
import { copyFile, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Pack } from 'tar-stream'
import type { ProgressSink } from '../util/progress-sink.js'
import { CommandFailure } from './failures.js'

/** A file that somebody hands over: text, or a copy of one on the disk. */
export interface HandedFile {
  readonly name: string
  readonly content: { readonly text: string } | { readonly path: string }
  readonly release?: () => Promise<void>
}

/** How much was written. */
export interface Written {
  readonly files: number
  readonly bytes: number
}

/** What is handed over is for its person alone. */
const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

/** Writes files below a directory, which is made or must be empty. Throws a `CommandFailure` where it is not. */
export async function writeToDirectory(
  files: AsyncIterable<HandedFile>,
  directory: string,
  progress: ProgressSink,
): Promise<Written> {
  await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE })
  if ((await readdir(directory)).length > 0) throw new CommandFailure(`${directory} is not empty`)
  return writeEach(files, progress, async ({ name, content }) => {
    const path = join(directory, name)
    await mkdir(dirname(path), { recursive: true, mode: DIRECTORY_MODE })
    if ('text' in content) {
      await writeFile(path, content.text, { mode: FILE_MODE, flag: 'wx' })
      return Buffer.byteLength(content.text)
    }
    await copyFile(content.path, path)
    return (await stat(path)).size
  })
}

/** Writes files as a tar archive. The stream is ended. Rejects when it cannot take them. */
export async function writeAsArchive(
  files: AsyncIterable<HandedFile>,
  target: NodeJS.WritableStream,
  { progress, mtime }: { readonly progress: ProgressSink; readonly mtime: Date },
): Promise<Written> {
  const { default: tar } = await import('tar-stream')
  const pack = tar.pack()
  let failure: NodeJS.ErrnoException | undefined
  const sent = pipeline(pack, target).catch((error: unknown) => {
    failure = error as NodeJS.ErrnoException
    // Whoever reads may go at any time; then nothing more is written.
    pack.destroy(failure)
  })
  try {
    const written = await writeEach(files, progress, ({ name, content }) =>
      'text' in content
        ? packText(pack, { name, mtime, mode: FILE_MODE }, content.text)
        : packFile(pack, { name, mtime, mode: FILE_MODE }, content.path),
    )
    pack.finalize()
    await sent
    if (failure === undefined) return written
  } catch (error) {
    pack.destroy()
    await sent
    failure ??= error as NodeJS.ErrnoException
  }
  throw unwritable(failure)
}

/** A pipe that ends, a file that is there already, a disk that is full: what people can do something about. */
function unwritable(error: NodeJS.ErrnoException): Error {
  return error.code === undefined
    ? error
    : new CommandFailure(`Cannot write: ${error.message}`, { cause: error })
}

interface Header {
  readonly name: string
  readonly mtime: Date
  readonly mode: number
}

function packText(pack: Pack, header: Header, text: string): Promise<number> {
  return new Promise((resolve, reject) => {
    pack.once('error', reject)
    pack.entry({ ...header }, text, (error) => {
      pack.off('error', reject)
      if (error) reject(error)
      else resolve(Buffer.byteLength(text))
    })
  })
}

async function packFile(pack: Pack, header: Header, path: string): Promise<number> {
  const { size } = await stat(path)
  await pipeline(createReadStream(path), pack.entry({ ...header, size }))
  return size
}

async function writeEach(
  files: AsyncIterable<HandedFile>,
  progress: ProgressSink,
  write: (file: HandedFile) => Promise<number>,
): Promise<Written> {
  let count = 0
  let bytes = 0
  progress.start('Writing', undefined, 'files')
  try {
    for await (const file of files) {
      try {
        bytes += await write(file)
      } finally {
        await file.release?.()
      }
      count += 1
      progress.advance(1)
    }
  } finally {
    progress.finish()
  }
  return { files: count, bytes }
}
