import { readFile } from 'node:fs/promises'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { KeyPath } from '../config-error.js'
import { ldapPasswords } from './ldap.js'
import type { ModuleKind } from './module-kind.js'

/** Says that the configuration cannot be used. */
type Fail = (path: KeyPath, message: string) => void

type Kind = Pick<ModuleKind<unknown>, 'classes' | 'files'>

/** Puts into the settings of modules what they keep in files of its own. Says which of these cannot be read. */
export async function completeModules(
  values: JsonObject,
  { kinds, fail }: { readonly kinds: readonly Kind[]; readonly fail: Fail },
): Promise<void> {
  for (const key of ['modules', 'password_providers']) {
    const list = values[key]
    if (!Array.isArray(list)) continue
    for (const [index, entry] of list.entries()) {
      if (!isJsonObject(entry) || !isJsonObject(entry['config'])) continue
      const kind = kinds.find(({ classes }) => classes.some((name) => name === entry['module']))
      await takeFiles(entry['config'], { files: kind?.files ?? [], path: [key, index, 'config'], fail })
    }
  }
  const config = values['ldap_config']
  if (isJsonObject(config))
    await takeFiles(config, { files: ldapPasswords.files, path: ['ldap_config'], fail })
}

async function takeFiles(
  config: JsonObject,
  { files, path, fail }: { files: Kind['files']; path: KeyPath; fail: Fail },
): Promise<void> {
  for (const [fileKey, key] of files) {
    const file = config[fileKey] ?? undefined
    // Where both are set, the modules take what stands in the configuration itself.
    if (file === undefined || (config[key] ?? undefined) !== undefined) continue
    if (typeof file !== 'string') {
      fail([...path, fileKey], 'expected a path')
      continue
    }
    try {
      config[key] = (await readFile(file, 'utf8')).replace(/[\r\n]+$/, '')
    } catch (error) {
      fail([...path, fileKey], (error as Error).message)
    }
  }
}
