import type { HomeserverConfig } from '../config/homeserver-config.js'
import { CachingDns } from '../net/dns.js'
import { HttpClient } from '../net/http-client.js'
import { IpPolicy } from '../net/ip-policy.js'
import { createProxyChooser } from '../net/proxy.js'
import type { Clock } from '../util/clock.js'
import { userAgentOf, type NetworkParts } from './wire-remote.js'

/** Requests of the server's own to anybody but other homeservers. */
export interface OutboundHttp {
  /** To addresses that strangers name: never those that `ip_range_blacklist` denies. */
  readonly toStrangers: HttpClient
  /** As `toStrangers`, where the certificates are good that other servers are trusted by. */
  readonly toIdentityServers: HttpClient
  /** To addresses that the operator names, which may be anywhere. */
  readonly toOwn: HttpClient
  /** Ends all connections. */
  close(): Promise<void>
}

export function createOutboundHttp(parts: {
  readonly config: HomeserverConfig
  readonly clock: Clock
  readonly version: string
  readonly network: NetworkParts
}): OutboundHttp {
  const { config, clock, version, network } = parts
  const shared = {
    dns: new CachingDns(network.dns, clock),
    proxy: createProxyChooser(config.network),
    clock,
    userAgent: userAgentOf(version, config),
    tls: { verify: true },
  }
  const policy = new IpPolicy(config.network)
  const toStrangers = new HttpClient({ ...shared, policy })
  const { authorities } = network
  const toIdentityServers = new HttpClient({ ...shared, policy, tls: { verify: true, authorities } })
  const anywhere = new IpPolicy({ deniedRanges: [], allowedRanges: [] })
  const toOwn = new HttpClient({ ...shared, policy: anywhere })
  return {
    toStrangers,
    toIdentityServers,
    toOwn,
    async close() {
      await Promise.all([toStrangers, toIdentityServers, toOwn].map((client) => client.close()))
    },
  }
}
