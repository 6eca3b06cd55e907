import { readFile } from 'node:fs/promises'
import { CommandFailure } from './failures.js'

/** The secret keys in these files: a line each; those that begin with `#` are for people. */
export async function readSecretKeys(files: readonly string[]): Promise<readonly string[]> {
  const keys: string[] = []
  for (const file of files) {
    const lines = (await readText(file)).split('\n').map((line) => line.trim())
    const found = lines.filter((line) => line !== '' && !line.startsWith('#'))
    if (found.length === 0) throw new CommandFailure(`There is no key in ${file}`)
    keys.push(...found)
  }
  return keys
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new CommandFailure((error as Error).message, { cause: error })
  }
}
