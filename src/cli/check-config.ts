import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { readRegistrationFiles } from '../config/appservice-files.js'
import { loadAuthorities } from '../config/authority-files.js'
import { ConfigError, type ConfigNotice } from '../config/config-error.js'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { loadConfig, type LoadOptions } from '../config/load.js'
import { loadLogConfig, type LogConfig } from '../config/log-config.js'
import { loadSigningKeys } from '../config/signing-key-file.js'

/** A configuration that has been read with everything it leads to. */
export interface CheckedConfig {
  readonly config: HomeserverConfig
  readonly log: LogConfig
  readonly warnings: readonly ConfigNotice[]
}

/** What there is to say of a configuration that can be used. */
export interface ConfigReport {
  readonly serverName: string
  readonly warnings: readonly ConfigNotice[]
}

/** Reads a configuration and the files that it names. Throws a `ConfigError` when a server could not run with it. */
export async function readCheckedConfig(
  paths: readonly string[],
  options: LoadOptions = {},
): Promise<CheckedConfig> {
  const { config, warnings } = await loadConfig(paths, options)
  const log = await loadLogConfig(config.logging.configPath)
  await loadSigningKeys(config.signingKeys)
  checkCertificate(config.listeners)
  await loadAuthorities(config.federation.authorityPaths ?? [])
  await checkAppservices(config)
  return { config, log: log.config, warnings: [...warnings, ...log.warnings] }
}

/** What `readCheckedConfig` finds. */
export async function checkConfig(paths: readonly string[]): Promise<ConfigReport> {
  const { config, warnings } = await readCheckedConfig(paths)
  return { serverName: config.server.serverName, warnings }
}

async function checkAppservices({ appservices, server }: HomeserverConfig): Promise<void> {
  try {
    await readRegistrationFiles(appservices.files, server.serverName)
  } catch (error) {
    throw failure('app_service_config_files', (error as Error).message)
  }
}

function checkCertificate({
  list,
  tlsCertificatePath,
  tlsPrivateKeyPath,
}: HomeserverConfig['listeners']): void {
  if (!list.some(({ tls }) => tls)) return
  const cert = readPart('tls_certificate_path', tlsCertificatePath)
  const key = readPart('tls_private_key_path', tlsPrivateKeyPath)
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    throw failure('tls_certificate_path', `cannot be used: ${(error as Error).message}`)
  }
}

function readPart(key: string, path = ''): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw failure(key, (error as Error).message)
  }
}

function failure(path: string, message: string): ConfigError {
  return new ConfigError([{ location: undefined, path, message }])
}
