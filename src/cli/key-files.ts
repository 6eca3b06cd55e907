import { readFile } from 'node:fs/promises'
import { parseSigningKeys, SigningKeyError, type SigningKey } from '../protocol/signing-keys.js'
import { CommandFailure } from './failures.js'
import { configPaths } from './config-paths.js'

/** The keys of these files, or else of the configuration. Throws a `CommandFailure` for files that are no key files. */
export async function readKeys(
  files: readonly string[],
  config: readonly string[] | undefined,
): Promise<readonly SigningKey[]> {
  if (files.length > 0) return (await Promise.all(files.map(readKeyFile))).flat()
  const [{ loadConfig }, { loadSigningKeys }] = await Promise.all([
    import('../config/load.js'),
    import('../config/signing-key-file.js'),
  ])
  const loaded = await loadConfig(configPaths(config))
  const { current } = await loadSigningKeys(loaded.config.signingKeys)
  return current
}

async function readKeyFile(path: string): Promise<readonly SigningKey[]> {
  try {
    return parseSigningKeys(await readFile(path, 'utf8'))
  } catch (error) {
    if (error instanceof SigningKeyError)
      throw new CommandFailure(`${path}: ${error.message}`, { cause: error })
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    throw new CommandFailure((error as Error).message, { cause: error })
  }
}
