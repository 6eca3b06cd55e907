import { resolve } from 'node:path'
import { z } from 'zod'
import type { JsonObject } from '../util/json.js'
import { readConfigFiles, type ConfigFiles } from './config-files.js'
import { Findings } from './findings.js'
import { withSecrets } from './secret-sources.js'
import { database, type DatabaseConfig } from './sections/database.js'

/**
 * The database that a file names: a whole `homeserver.yaml`, one with nothing but the section `database`, or what would
 * stand in that section. Undefined where the file names none. Throws a `ConfigError` that names everything that is wrong.
 */
export async function loadDatabaseConfig(
  path: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<DatabaseConfig | undefined> {
  const files = await readConfigFiles([path], env)
  return parseDatabase(files, env)
}

/** As `loadDatabaseConfig`, of files that have been read. */
export async function parseDatabase(
  files: ConfigFiles,
  env: Readonly<Record<string, string | undefined>>,
): Promise<DatabaseConfig | undefined> {
  const findings = new Findings(files)
  const values = inSection(await withSecrets(files, { findings, env, makes: false }))
  if (values['database'] === undefined) return undefined
  const parsed = z.object(database.keys).safeParse({ database: values['database'] })
  if (!parsed.success) {
    for (const { path: at, message } of parsed.error.issues) {
      findings.add('error', files.locate(at as string[]), {
        path: at as string[],
        message: `expected ${message}`,
      })
    }
    throw findings.error()
  }
  const config = database.build(parsed.data, {
    configDir: resolve('.'),
    env,
    serverName: '',
    fail: (at, message) => findings.add('error', files.locate(at), { path: at, message }),
    warn: () => undefined,
  })
  if (findings.hasErrors) throw findings.error()
  return config
}

function inSection(values: JsonObject): JsonObject {
  const isSection = values['database'] === undefined && values['args'] !== undefined
  return isSection ? { database: values } : values
}
