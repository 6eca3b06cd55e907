import { readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { JsonObject } from '../util/json.js'
import { randomToken } from '../util/random.js'
import { checkKeys } from './check-keys.js'
import { ConfigError, formatPath, type ConfigNotice, type KeyPath } from './config-error.js'
import { readConfigFiles, type ConfigFiles } from './config-files.js'
import { buildHomeserverConfig, homeserverConfigSchema, type HomeserverConfig } from './homeserver-config.js'
import { SECRETS_FROM_FILES } from './known-keys.js'

export interface LoadedConfig {
  readonly config: HomeserverConfig
  /** What will not be as the operator may expect it. */
  readonly warnings: readonly ConfigNotice[]
}

export interface LoadOptions {
  /** The process' own, unless it is given. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Makes the file of `registration_shared_secret_path` if there is none, as a server does that starts. */
  readonly makeSecrets?: boolean
}

/**
 * Reads `homeserver.yaml`: files, or directories with files that end with `.yaml`. Of top-level keys that are in several
 * files the last one counts, as in Synapse. Throws a `ConfigError` that names everything that is wrong.
 */
export async function loadConfig(paths: readonly string[], options: LoadOptions = {}): Promise<LoadedConfig> {
  const files = await readConfigFiles(paths)
  const findings = new Findings(files)
  for (const { path, isError, message } of checkKeys(files.values)) {
    findings.add(isError ? 'error' : 'warning', files.locateKey(path), { path, message })
  }
  const values = await withSecretsFromFiles(files, { findings, makes: options.makeSecrets ?? false })
  const parsed = homeserverConfigSchema.safeParse(values)
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      const at = path as KeyPath
      findings.add('error', files.locate(at), {
        path: at,
        message: expected(message, at, valueAt(values, at)),
      })
    }
    throw findings.error()
  }
  const config = buildHomeserverConfig(parsed.data, {
    configDir: await configDir(paths),
    env: options.env ?? process.env,
    serverName: parsed.data.server_name,
    fail: (path, message) => findings.add('error', files.locate(path), { path, message }),
    warn: (path, message) => findings.add('warning', files.locateKey(path), { path, message }),
  })
  if (findings.hasErrors) throw findings.error()
  return { config, warnings: findings.warnings }
}

/** Collects what is found, in the order of the files. */
class Findings {
  readonly #files: ConfigFiles
  readonly #errors: ConfigNotice[] = []
  readonly #warnings: ConfigNotice[] = []

  constructor(files: ConfigFiles) {
    this.#files = files
  }

  get hasErrors(): boolean {
    return this.#errors.length > 0
  }

  get warnings(): readonly ConfigNotice[] {
    return this.#warnings.toSorted(byLocation)
  }

  add(
    kind: 'error' | 'warning',
    location: ConfigNotice['location'],
    { path, message }: { path: KeyPath; message: string },
  ): void {
    const isMissing = path.length > 0 && !Object.hasOwn(this.#files.values, String(path[0]))
    const notice = { location: isMissing ? undefined : location, path: formatPath(path), message }
    if (kind === 'error') this.#errors.push(notice)
    else this.#warnings.push(notice)
  }

  error(): ConfigError {
    return new ConfigError(this.#errors.toSorted(byLocation))
  }
}

function byLocation({ location: a }: ConfigNotice, { location: b }: ConfigNotice): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined)
  if (a.file !== b.file) return 0
  return a.line - b.line || a.column - b.column
}

/** The values, with the secrets that `<key>_path` leads to. */
async function withSecretsFromFiles(
  files: ConfigFiles,
  { findings, makes }: { findings: Findings; makes: boolean },
): Promise<JsonObject> {
  const values = { ...files.values }
  for (const key of SECRETS_FROM_FILES) {
    const path = [`${key}_path`]
    const file = values[`${key}_path`] ?? undefined
    if (file === undefined) continue
    if (typeof file !== 'string') {
      findings.add('error', files.locate(path), { path, message: expected('a path', path, file) })
    } else if ((values[key] ?? undefined) !== undefined) {
      findings.add('error', files.locateKey(path), {
        path,
        message: `${key} is set too: only one of them can be`,
      })
    } else {
      try {
        values[key] = await readSecret(file, makes && key === MADE_SECRET)
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException
        if (code === 'ENOENT' && key === MADE_SECRET) {
          findings.add('warning', files.locate(path), {
            path,
            message: 'the file is made when the server starts',
          })
        } else {
          findings.add('error', files.locate(path), { path, message })
        }
      }
    }
  }
  return values
}

/** Nobody else has to know it beforehand, so a server can make it up. */
const MADE_SECRET = 'registration_shared_secret'

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

/** Where the first of the files lies. */
async function configDir(paths: readonly string[]): Promise<string> {
  const first = paths[0]
  if (first === undefined) return process.cwd()
  const path = resolve(first)
  return (await stat(path)).isDirectory() ? path : dirname(path)
}

const MAX_SHOWN = 60
/** Keys whose values are not to be seen in logs. */
const SECRET = /secret|password|pass$|pepper|signing_key$|^dsn$/

function expected(expectation: string, path: KeyPath, found: unknown): string {
  if (found === undefined || found === null) return `is missing: expected ${expectation}`
  return `expected ${expectation}, got ${shown(path, found)}`
}

function shown(path: KeyPath, found: unknown): string {
  if (Array.isArray(found)) return 'a list'
  if (typeof found === 'object') return 'a map'
  if (path.some((key) => typeof key === 'string' && SECRET.test(key) && key !== 'password_config')) {
    return `a ${typeof found} (not shown)`
  }
  const json = JSON.stringify(found)
  return json.length > MAX_SHOWN ? `${json.slice(0, MAX_SHOWN)}...` : json
}

function valueAt(values: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null
        ? (value as Record<string, unknown>)[String(key)]
        : undefined,
    values,
  )
}
