import { loadConfig } from '../../src/config/load.js'
import { createHomeserver, type Homeserver } from '../../src/server/homeserver.js'
import { createLogger } from '../../src/telemetry/logger.js'
import type { JsonObject } from '../../src/util/json.js'
import type { TestDatabase } from './databases.js'

/** A server that runs on what was imported. */
export interface ImportedServer extends AsyncDisposable {
  readonly server: Homeserver
  readonly url: string
}

/** Starts a server with the configuration in files, which has one listener at a free port. */
export async function startImported(configPaths: readonly string[]): Promise<ImportedServer> {
  const { config } = await loadConfig(configPaths)
  const destination = { write: (line: string) => process.stderr.write(line) }
  const server = await createHomeserver(config, { log: await createLogger({ level: 'error', destination }) })
  await server.start()
  const address = server.addresses[0]
  if (address === undefined || !('url' in address)) throw new Error('The server does not listen at a port')
  return { server, url: address.url, [Symbol.asyncDispose]: () => server.stop() }
}

/** The section of the configuration for a database of a test. */
export function databaseSection({ config }: TestDatabase): JsonObject {
  if (config.name === 'sqlite') return { name: 'sqlite3', args: { database: config.path } }
  if (!('url' in config.connection)) throw new Error('The database has no URL')
  return { name: 'psycopg2', args: { dsn: config.connection.url } }
}

/** Listeners at one free port. */
export const ONE_LISTENER: JsonObject = {
  listeners: [
    {
      port: 0,
      type: 'http',
      bind_addresses: ['127.0.0.1'],
      resources: [{ names: ['client', 'media', 'federation'] }],
    },
  ],
}
