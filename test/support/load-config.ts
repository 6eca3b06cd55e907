import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { formatNotice } from '../../src/config/config-error.js'
import { loadConfig, type LoadedConfig } from '../../src/config/load.js'

/** Loads the configuration of `example.org` with these keys, as from a file, in an environment. */
export async function loadKeys(
  keys: object,
  env: Readonly<Record<string, string>> = {},
): Promise<LoadedConfig> {
  const directory = mkdtempSync(join(tmpdir(), 'mxhs-config-'))
  try {
    const path = join(directory, 'homeserver.yaml')
    writeFileSync(path, stringify({ server_name: 'example.org', ...keys }))
    return await loadConfig([path], { env })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** What is wrong with these keys, without places; fails when nothing is. */
export async function errorsOf(keys: object): Promise<string[]> {
  try {
    await loadKeys(keys)
  } catch (error) {
    return (error as Error).message.split('\n').map(withoutPlace)
  }
  throw new Error('Nothing was wrong')
}

/** What there is to warn of, without places. */
export async function warningsOf(keys: object): Promise<string[]> {
  const { warnings } = await loadKeys(keys)
  return warnings.map((notice) => withoutPlace(formatNotice(notice)))
}

function withoutPlace(message: string): string {
  return message.replace(/^\S+homeserver\.yaml:\d+:\d+: /, '')
}
