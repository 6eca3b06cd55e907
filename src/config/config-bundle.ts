import { readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import type { KeyPath } from './config-error.js'
import { configFilesAt } from './config-files.js'
import type { HomeserverConfig } from './homeserver-config.js'
import { KEYS_IN_FILES, SECRET_KEYS } from './secret-keys.js'

/** A file that a server cannot start without. */
export interface BundledFile {
  /** Absolute. */
  readonly path: string
  readonly content: Buffer
  /** Its permissions. */
  readonly mode: number
  /**
   * `main`: of the configuration itself, in their order. `named`: one that `keys` name, or one in a directory that they
   * name. `signing-key`: at the default place, which nothing names.
   */
  readonly role: 'main' | 'named' | 'signing-key'
  readonly keys: readonly KeyPath[]
  /** The directory that `keys` name, where it is that. */
  readonly within?: string
}

/** `*` stands for each entry of a list. */
const FILE_KEYS: readonly KeyPath[] = [
  ['signing_key_path'],
  ['log_config'],
  ['app_service_config_files', '*'],
  ['tls_certificate_path'],
  ['tls_private_key_path'],
  ['federation_custom_ca_list', '*'],
  ['database', 'args', 'sslrootcert'],
  ['database', 'args', 'sslcert'],
  ['database', 'args', 'sslkey'],
  ...[...SECRET_KEYS, ...KEYS_IN_FILES].map((key) => [...key.slice(0, -1), `${key.at(-1)!}_path`]),
]

const DIRECTORY_KEYS: readonly KeyPath[] = [
  ['templates', 'custom_template_directory'],
  ['email', 'template_dir'],
]

/**
 * All files of a configuration: its own, and those that it names. `given`: its values. Those that are not there, as a
 * secret that is yet to be made, are left out; so is what comes from the environment.
 */
export async function readConfigBundle(
  paths: readonly string[],
  { given, config }: { given: JsonObject; config: Pick<HomeserverConfig, 'signingKeys'> },
): Promise<BundledFile[]> {
  const found = new Map<string, BundledFile>()
  const add = async (path: string, about: Pick<BundledFile, 'role' | 'keys' | 'within'>): Promise<void> => {
    const known = found.get(resolve(path))
    const keys = [...(known?.keys ?? []), ...about.keys]
    if (known !== undefined) found.set(known.path, { ...known, keys })
    else {
      const file = await readIfThere(resolve(path), about)
      if (file !== undefined) found.set(file.path, file)
    }
  }
  for (const path of paths) {
    for (const file of await configFilesAt(path)) await add(file, { role: 'main', keys: [] })
  }
  for (const { key, path } of FILE_KEYS.flatMap((pattern) => pathsAt(given, pattern))) {
    await add(path, { role: 'named', keys: [key] })
  }
  for (const { key, path } of DIRECTORY_KEYS.flatMap((pattern) => pathsAt(given, pattern))) {
    const within = resolve(path)
    for (const name of await namesIn(within))
      await add(join(within, name), { role: 'named', keys: [key], within })
  }
  const { inline, path } = config.signingKeys
  if (inline === undefined) await add(path, { role: 'signing-key', keys: [] })
  return [...found.values()]
}

/** The texts at a path, and where exactly they stand. */
function pathsAt(values: JsonObject, pattern: KeyPath): { key: KeyPath; path: string }[] {
  let places: { key: KeyPath; value: JsonValue | undefined }[] = [{ key: [], value: values }]
  for (const part of pattern) {
    places = places.flatMap(({ key, value }) => {
      if (part === '*') {
        const list = Array.isArray(value) ? value : []
        return list.map((entry, index) => ({ key: [...key, index], value: entry }))
      }
      return isJsonObject(value) && Object.hasOwn(value, part)
        ? [{ key: [...key, part], value: value[part] }]
        : []
    })
  }
  return places.flatMap(({ key, value }) => (typeof value === 'string' ? [{ key, path: value }] : []))
}

async function readIfThere(
  path: string,
  about: Pick<BundledFile, 'role' | 'keys' | 'within'>,
): Promise<BundledFile | undefined> {
  try {
    const { mode } = await stat(path)
    return { path, content: await readFile(path), mode: mode & 0o777, ...about }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Plain files alone. */
async function namesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
}
