import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { randomToken } from '../util/random.js'
import type { ConfigFiles } from './config-files.js'
import type { Findings } from './findings.js'
import { KEYS_IN_FILES, SECRET_KEYS, SIGNING_KEY } from './secret-keys.js'

export interface SecretSources {
  readonly findings: Findings
  readonly env: Readonly<Record<string, string | undefined>>
  /** Makes the file of `registration_shared_secret_path` if there is none. */
  readonly makes: boolean
}

/** Nobody else has to know it beforehand, so a server can make it up. */
const MADE_SECRET = 'registration_shared_secret'

/**
 * The values, with the secrets that `<key>_path` leads to and those that systemd has put into
 * `$CREDENTIALS_DIRECTORY`. Of several sources of one secret only one may be used: anything else is a mistake.
 */
export async function withSecrets(files: ConfigFiles, sources: SecretSources): Promise<JsonObject> {
  const values = structuredClone(files.values)
  for (const key of [...SECRET_KEYS, ...KEYS_IN_FILES]) {
    await takeFromFile(values, key, { ...sources, files })
    await takeFromCredentials(values, key, { ...sources, files })
  }
  await takeFromCredentials(values, SIGNING_KEY, { ...sources, files })
  return values
}

type Sources = SecretSources & { readonly files: ConfigFiles }

async function takeFromFile(values: JsonObject, key: readonly string[], sources: Sources): Promise<void> {
  const { findings, files, makes } = sources
  const path = [...key.slice(0, -1), `${key.at(-1)!}_path`]
  const file = valueAt(values, path)
  if (file === undefined) return
  if (typeof file !== 'string') {
    findings.add('error', files.locate(path), { path, message: 'expected a path' })
  } else if (valueAt(values, key) !== undefined) {
    const message = `${key.join('.')} is set too: only one of them can be`
    findings.add('error', files.locateKey(path), { path, message })
  } else {
    const isMade = key[0] === MADE_SECRET
    try {
      setAt(values, key, await readSecret(file, makes && isMade))
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' && isMade) {
        const note = 'the file is made when the server starts'
        findings.add('warning', files.locate(path), { path, message: note })
      } else {
        findings.add('error', files.locate(path), { path, message })
      }
    }
  }
}

async function takeFromCredentials(
  values: JsonObject,
  key: readonly string[],
  { findings, files, env }: Sources,
): Promise<void> {
  const directory = env['CREDENTIALS_DIRECTORY']
  if (directory === undefined || directory === '') return
  const name = key.join('.')
  let secret: string
  try {
    secret = await readSecret(join(directory, name), false)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') findings.add('error', undefined, { path: key, message })
    return
  }
  if (valueAt(values, key) === undefined) {
    setAt(values, key, secret)
    return
  }
  const message = `there is a credential ${name} too: only one of them can be`
  findings.add('error', files.locateKey(key), { path: key, message })
}

async function readSecret(file: string, isMade: boolean): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || !isMade) throw error
    const secret = randomToken(50)
    await writeFile(file, `${secret}\n`, { flag: 'wx', mode: 0o600 })
    return secret
  }
}

function valueAt(values: JsonObject, path: readonly string[]): JsonValue | undefined {
  const found = path.reduce<JsonValue | undefined>(
    (value, key) => (isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined),
    values,
  )
  return found ?? undefined
}

/** Makes the maps on the way where there are none; leaves alone what is no map, which is an error of its own. */
function setAt(values: JsonObject, path: readonly string[], secret: string): void {
  let map = values
  for (const key of path.slice(0, -1)) {
    const next = (map[key] ??= {})
    if (!isJsonObject(next)) return
    map = next
  }
  map[path.at(-1)!] = secret
}
