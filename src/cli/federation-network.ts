import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { createConnections } from '../server/wire-remote.js'
import type { Clock } from '../util/clock.js'
import { parseServerName, type ServerName } from '../protocol/ids.js'
import { UsageError } from './failures.js'
import { givenOrDefault } from './config-paths.js'

/** What commands talk to other servers with. */
export type FederationNetwork = ReturnType<typeof createConnections> & { readonly clock: Clock }

/** A name from the command line. Throws a `UsageError` for what is none. */
export function serverNameArgument(text: string): ServerName {
  const serverName = parseServerName(text)
  if (serverName === undefined) throw new UsageError(`${text} is not a server name, such as example.org`)
  return serverName
}

/** The configuration that `-c` names, or that lies here; undefined where there is none. */
export async function optionalConfig(
  given: readonly string[] | undefined,
): Promise<HomeserverConfig | undefined> {
  const paths = givenOrDefault(given)
  if (paths === undefined) return undefined
  const { loadConfig } = await import('../config/load.js')
  return (await loadConfig(paths)).config
}

/**
 * Does something with the network as the server of a configuration would: with its authorities, proxies and addresses
 * that are denied. Without a configuration, as a server would that keeps to the defaults.
 */
export async function withFederationNetwork<T>(
  config: Pick<HomeserverConfig, 'network' | 'federation'> | undefined,
  work: (network: FederationNetwork) => Promise<T>,
): Promise<T> {
  const [
    { createConnections },
    { createSystemDns },
    { loadAuthorities },
    { programVersion },
    { systemClock },
  ] = await Promise.all([
    import('../server/wire-remote.js'),
    import('../net/dns.js'),
    import('../config/authority-files.js'),
    import('../server/program-version.js'),
    import('../util/clock.js'),
  ])
  const settings = config ?? (await defaultSettings())
  const { authorityPaths } = settings.federation
  const connections = createConnections({
    config: settings,
    network: {
      dns: createSystemDns(),
      authorities: authorityPaths && (await loadAuthorities(authorityPaths)),
    },
    clock: systemClock,
    version: programVersion(),
  })
  try {
    return await work({ ...connections, clock: systemClock })
  } finally {
    const { transport, http, wellKnownHttp } = connections
    await Promise.all([transport.close(), http.close(), wellKnownHttp.close()])
  }
}

async function defaultSettings(): Promise<Pick<HomeserverConfig, 'network' | 'federation'>> {
  const [{ federation }, { network }, { z }] = await Promise.all([
    import('../config/sections/federation.js'),
    import('../config/sections/network.js'),
    import('zod'),
  ])
  const raw = z.object({ ...federation.keys, ...network.keys }).parse({})
  const context = {
    configDir: process.cwd(),
    serverName: 'localhost',
    env: process.env,
    fail: () => undefined,
    warn: () => undefined,
  }
  return { federation: federation.build(raw, context), network: network.build(raw, context) }
}
