import { readConfigFiles } from './config-files.js'
import { Findings } from './findings.js'
import { parseDatabase } from './load-database.js'
import { loadSettings, type LoadedSettings, type LoadOptions } from './load.js'
import type { DatabaseConfig } from './sections/database.js'
import { namesOfDatabases } from './several-databases.js'

/** The configuration of a server that is taken over. */
export interface SourceConfig extends LoadedSettings {
  /** The database of states, where it is not the same as `config.database`. */
  readonly statesDatabase: DatabaseConfig | undefined
}

/** As `loadSettings`, also for a server with two databases. Throws a `ConfigError`. */
export async function loadSourceConfig(
  paths: readonly string[],
  options: LoadOptions = {},
): Promise<SourceConfig> {
  const loaded = await loadSettings(paths, { ...options, severalDatabases: true })
  const env = options.env ?? process.env
  const files = await readConfigFiles(paths, env)
  const findings = new Findings(files)
  const names = namesOfDatabases(files, findings)
  if (names === undefined || names.main === names.state) return { ...loaded, statesDatabase: undefined }
  files.move(['databases', names.state], 'database')
  return { ...loaded, statesDatabase: await parseDatabase(files, env) }
}
