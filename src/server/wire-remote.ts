import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { ServerKeys } from '../config/signing-key-file.js'
import { CachingDns, type Dns } from '../net/dns.js'
import type { DialerOptions } from '../net/dialer.js'
import { FederationTransport } from '../net/federation/federation-transport.js'
import { ServerResolver } from '../net/federation/server-resolver.js'
import { WellKnown } from '../net/federation/well-known.js'
import { HttpClient } from '../net/http-client.js'
import { IpPolicy, type IpRanges } from '../net/ip-policy.js'
import { createProxyChooser } from '../net/proxy.js'
import { parseVerifyKey } from '../protocol/ed25519.js'
import type { ServerName } from '../protocol/ids.js'
import type { JsonSigner } from '../protocol/signed-json.js'
import { Destinations } from '../services/remote/destinations.js'
import { FederationClient } from '../services/remote/federation-client.js'
import { FederationGate } from '../services/remote/federation-gate.js'
import { InboundLimiter } from '../services/remote/inbound-limiter.js'
import { KeyCache } from '../services/remote/key-cache.js'
import { KeyFetcher, type TrustedKeyServer } from '../services/remote/key-fetcher.js'
import { KeyNotary } from '../services/remote/key-notary.js'
import { Keyring } from '../services/remote/keyring.js'
import { OwnKeys } from '../services/remote/own-keys.js'
import { RequestVerifier } from '../services/remote/request-verifier.js'
import { DestinationsStore } from '../storage/stores/destinations.js'
import { ServerKeysStore } from '../storage/stores/server-keys.js'
import type { Database } from '../storage/database.js'
import type { Logger } from '../telemetry/logger.js'
import type { Clock } from '../util/clock.js'
import { randomFraction } from '../util/random.js'
import type { BackgroundWork } from './lifecycle.js'

/** What leads out of this machine. */
export interface NetworkParts {
  readonly dns: Dns
  /** Certificates that other servers are trusted by, in place of the system's. */
  readonly authorities: readonly string[] | undefined
}

export interface RemoteParts {
  readonly config: HomeserverConfig
  readonly storage: { readonly db: Database }
  readonly serverKeys: ServerKeys
  /** Signs with the first of them, and later with what takes its place. */
  readonly signer: JsonSigner
  readonly network: NetworkParts
  readonly clock: Clock
  /** The program's name and version. */
  readonly version: string
  readonly logger: Logger
  readonly onError: (error: unknown) => void
}

/** What this server has to do with others, and with everything else that it asks over the network. */
export interface RemoteServices {
  /** Those that endpoints use. */
  readonly services: {
    readonly federationClient: FederationClient
    readonly federationGate: FederationGate
    readonly keyNotary: KeyNotary
    readonly ownKeys: OwnKeys
  }
  readonly federationClient: FederationClient
  readonly destinations: Destinations
  readonly keyring: Keyring
  readonly signer: JsonSigner
  readonly transport: FederationTransport
  readonly resolver: ServerResolver
  /** For requests to anybody, where `ip_range_blacklist` lets them. */
  readonly http: HttpClient
  /** For requests that other ranges of addresses are denied to. Whoever asks for one closes it. */
  createHttpClient(ranges: IpRanges): HttpClient
  readonly background: BackgroundWork
}

/** Constructs everything that reaches other servers. */
export function createRemote(parts: RemoteParts): RemoteServices {
  const { config, clock, signer } = parts
  const logger = parts.logger.child({ component: 'federation' })
  const { serverName } = config.server
  const { allowedDomains } = config.federation
  const connections = createConnections(parts)
  const { transport, http } = connections
  const destinations = createDestinations(parts)
  const federationClient = new FederationClient({
    serverName,
    signer,
    transport,
    destinations,
    clock,
    allowedDomains,
    servesWhitelist: config.federation.servesWhitelist,
    requestTimeoutMs: config.federation.requestTimeoutMs,
    logger,
  })
  const { keyring, keyNotary, ownKeys } = createKeyServices(parts, federationClient, signer)
  const federationGate = new FederationGate(
    new RequestVerifier({ serverName, keyring, destinations, allowedDomains, logger }),
    new InboundLimiter(config.federation.inboundLimits, clock),
  )
  return {
    services: { federationClient, federationGate, keyNotary, ownKeys },
    ...connections,
    federationClient,
    destinations,
    keyring,
    signer,
    background: {
      start: () => destinations.start(),
      stop: async () => {
        await Promise.all([transport.close(), http.close(), connections.wellKnownHttp.close()])
        await destinations.stop()
      },
      tasks: [
        {
          name: 'forget_failing_servers',
          intervalMs: 3_600_000,
          run: () => destinations.forgetUnneeded(),
        },
      ],
    },
  }
}

/** What connections need to know. */
export interface ConnectionParts extends Pick<RemoteParts, 'network' | 'clock' | 'version'> {
  readonly config: Pick<HomeserverConfig, 'network' | 'federation'>
}

/** What the server calls itself towards others. `version`: the program's name and version. */
export function userAgentOf(version: string, { network }: Pick<HomeserverConfig, 'network'>): string {
  return `${version.replace(' ', '/')}${network.userAgentSuffix}`
}

/** The parts of a client of the network, without a server around it. */
export function createConnections({ config, network, clock, version }: ConnectionParts) {
  const dns = new CachingDns(network.dns, clock)
  const policy = new IpPolicy(config.network.federation)
  const shared = { clock, userAgent: userAgentOf(version, config) }
  const proxy = createProxyChooser(config.network)
  const dialing: DialerOptions = {
    dns,
    policy,
    proxy,
    tls: {
      verify: config.network.verifiesCertificates,
      authorities: network.authorities,
      minVersion: config.federation.minTlsVersion,
      isExempt: config.federation.isExemptFromVerification,
    },
  }
  const createHttpClient = (ranges: IpRanges): HttpClient =>
    new HttpClient({ ...shared, dns, proxy, policy: new IpPolicy(ranges), tls: { verify: true } })
  // What a host says of its server counts as much as the server itself: the same certificates are good for both.
  const wellKnownHttp = new HttpClient({ ...shared, ...dialing })
  const wellKnown = new WellKnown(wellKnownHttp, clock)
  const resolver = new ServerResolver({ dns, wellKnown, random: randomFraction })
  const transport = new FederationTransport({ ...shared, ...dialing, resolver })
  return {
    http: createHttpClient(config.network),
    createHttpClient,
    wellKnownHttp,
    resolver,
    transport,
    /** How connections to other servers are made. */
    dialing,
  }
}

function createDestinations({ config, storage, clock, onError }: RemoteParts): Destinations {
  const { retries, backoff } = config.federation
  return new Destinations({
    db: storage.db,
    store: new DestinationsStore(),
    clock,
    random: randomFraction,
    onError,
    options: { retries, backoff },
  })
}

function createKeyServices(
  { config, storage: { db }, serverKeys, clock }: RemoteParts,
  client: FederationClient,
  signer: JsonSigner,
) {
  const { serverName } = config.server
  const { current, old } = serverKeys
  const { validityMs, trustedServers } = config.signingKeys
  const store = new ServerKeysStore()
  const ownKeys = new OwnKeys({ serverName, current, old, validityMs }, clock)
  const notaries = trustedServers.filter((server) => server.serverName !== serverName).flatMap(toNotaries)
  const fetcher = new KeyFetcher({ client, trustedServers: notaries })
  const keys = new KeyCache({ db, store, fetcher, clock, serverName, ownKeys })
  const mayTalkTo = (name: ServerName): boolean => client.mayTalkTo(name)
  return {
    keyring: new Keyring({ keys, clock }),
    keyNotary: new KeyNotary({ db, store, keys, ownKeys, serverName, signer, clock, mayTalkTo }),
    ownKeys,
  }
}

/** A notary all of whose keys cannot be used is left out, rather than believed without any. */
function toNotaries({
  serverName,
  verifyKeys,
}: HomeserverConfig['signingKeys']['trustedServers'][number]): readonly TrustedKeyServer[] {
  const configured = Object.entries(verifyKeys)
  const keys = configured.flatMap(([keyId, encoded]) => {
    const key = parseVerifyKey(encoded)
    return key === undefined ? [] : [[keyId, key] as const]
  })
  if (configured.length > 0 && keys.length === 0) return []
  return [{ serverName: serverName as ServerName, verifyKeys: new Map(keys) }]
}
