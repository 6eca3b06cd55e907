import type { HomeserverConfig } from '../config/homeserver-config.js'
import { silentLogger, type LogOutput } from '../telemetry/logger.js'
import { createHomeserver, type Homeserver, type HomeserverOverrides } from './homeserver.js'

/** A server that does not run: what it could do, for whoever calls it directly. */
export type OfflineHomeserver = Pick<Homeserver, 'serverName' | 'services'>

/**
 * Does something with the services of a server that is not running: nothing listens, nothing is sent to other servers
 * and no work goes on in the background. What has been begun, such as leaving the rooms of an account that ends, is
 * finished before it resolves; what other servers have to be told goes out when the server next starts.
 *
 * Only for when no server runs on the same database: ids and caches of the two would not agree. Brings the schema up to
 * date. Rejects when the database cannot be used, with a `ConfigError` where there is no signing key, and with whatever
 * `work` rejects with.
 */
export async function withOfflineHomeserver<T>(
  config: HomeserverConfig,
  work: (homeserver: OfflineHomeserver) => Promise<T>,
  overrides: HomeserverOverrides = {},
): Promise<T> {
  const homeserver = await createHomeserver(config, { log: silentOutput(), ...overrides })
  try {
    return await work(homeserver)
  } finally {
    await homeserver.stop()
  }
}

function silentOutput(): LogOutput {
  return { logger: silentLogger(), reopen: () => Promise.resolve(), flush: () => undefined }
}
