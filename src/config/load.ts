import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { z } from 'zod'
import type { JsonObject } from '../util/json.js'
import { checkKeys } from './check-keys.js'
import type { ConfigNotice, KeyPath } from './config-error.js'
import { readConfigFiles, type ConfigFiles } from './config-files.js'
import { applyDelegationDefaults, conflictsWithDelegation } from './delegation.js'
import { Findings } from './findings.js'
import { buildHomeserverConfig, homeserverConfigSchema, type HomeserverConfig } from './homeserver-config.js'
import { completeModules } from './modules/module-files.js'
import { isSecretPath } from './secret-keys.js'
import { withSecrets } from './secret-sources.js'
import { MODULE_KINDS } from './sections/modules.js'
import { completeOidcProviders } from './sections/oidc-sources.js'
import { namesOfDatabases } from './several-databases.js'
import { takeOldKeys } from './take-old-keys.js'

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
  /** Of a server with several databases the main one is taken; otherwise they are refused. */
  readonly severalDatabases?: boolean
}

/**
 * Reads `homeserver.yaml`: files, or directories with files that end with `.yaml`. Of top-level keys that are in several
 * files the last one counts, as in Synapse. Throws a `ConfigError` that names everything that is wrong.
 */
export async function loadConfig(paths: readonly string[], options: LoadOptions = {}): Promise<LoadedConfig> {
  const { config, warnings } = await loadSettings(paths, options)
  return { config, warnings }
}

/** A configuration by Synapse's names, beside what it means. */
export interface LoadedSettings extends LoadedConfig {
  /** As they stand in the files, with secrets of other sources. */
  readonly given: JsonObject
  /** As the sections read them: with defaults, times in milliseconds, sizes in bytes; without what no section reads. */
  readonly settings: z.output<typeof homeserverConfigSchema>
}

/** As `loadConfig`, with what the files say. */
export async function loadSettings(
  paths: readonly string[],
  options: LoadOptions = {},
): Promise<LoadedSettings> {
  const env = options.env ?? process.env
  const files = await readConfigFiles(paths, env)
  const findings = new Findings(files)
  chooseDatabase(files, { findings, takesMain: options.severalDatabases === true })
  for (const { path, isError, message } of checkKeys(files.values)) {
    findings.add(isError ? 'error' : 'warning', files.locateKey(path), { path, message })
  }
  for (const { key, message } of takeOldKeys(files.values)) {
    findings.add('error', files.locateKey([key]), { path: [key], message })
  }
  const values = await withSecrets(files, { findings, env, makes: options.makeSecrets ?? false })
  const fail = (path: KeyPath, message: string): void =>
    findings.add('error', files.locate(path), { path, message })
  await completeOidcProviders(values, fail)
  await completeModules(values, { kinds: MODULE_KINDS, fail })
  for (const { path, message } of conflictsWithDelegation(values)) {
    findings.add('error', files.locateKey(path), { path, message })
  }
  applyDelegationDefaults(values)
  const parsed = homeserverConfigSchema.safeParse(values, { jitless: true })
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
    env,
    serverName: parsed.data.server_name,
    fail,
    warn: (path, message) => findings.add('warning', files.locateKey(path), { path, message }),
  })
  if (findings.hasErrors) throw findings.error()
  return { config, warnings: findings.warnings, given: values, settings: parsed.data }
}

/** Has `databases` stand as `database` where that can be. */
function chooseDatabase(
  files: ConfigFiles,
  { findings, takesMain }: { findings: Findings; takesMain: boolean },
): void {
  const path = ['databases']
  const location = files.locateKey(path)
  const names = namesOfDatabases(files, findings)
  if (names === undefined) return
  if (names.main !== names.state && !takesMain) {
    const message =
      'several databases are not served: name one in database (mxhs import synapse reads those of a Synapse)'
    findings.add('error', location, { path, message })
  }
  files.move(['databases', names.main], 'database')
}

/** Where the first of the files lies. */
async function configDir(paths: readonly string[]): Promise<string> {
  const first = paths[0]
  if (first === undefined) return process.cwd()
  const path = resolve(first)
  return (await stat(path)).isDirectory() ? path : dirname(path)
}

const MAX_SHOWN = 60

function expected(expectation: string, path: KeyPath, found: unknown): string {
  if (found === undefined || found === null) return `is missing: expected ${expectation}`
  return `expected ${expectation}, got ${shown(path, found)}`
}

function shown(path: KeyPath, found: unknown): string {
  if (Array.isArray(found)) return 'a list'
  if (typeof found === 'object') return 'a map'
  if (isSecretPath(path)) return `a ${typeof found} (not shown)`
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
