import { parseServerName } from '../../protocol/ids.js'
import { compileGlob } from '../../util/glob.js'
import { section } from '../section.js'
import {
  duration,
  flag,
  group,
  integer,
  listOf,
  optional,
  quantity,
  text,
  value,
  withDefault,
} from '../values.js'

/** As `federation_client_minimum_tls_version` names them, and as Node does. */
const TLS_VERSIONS = {
  '1': 'TLSv1',
  '1.0': 'TLSv1',
  '1.1': 'TLSv1.1',
  '1.2': 'TLSv1.2',
  '1.3': 'TLSv1.3',
} as const

const tlsVersion = value('one of the versions 1, 1.1, 1.2 and 1.3', (raw) => {
  const version = String(raw)
  return Object.hasOwn(TLS_VERSIONS, version) ? (version as keyof typeof TLS_VERSIONS) : undefined
})

const domain = value('a server name', (raw) => (typeof raw === 'string' ? parseServerName(raw) : undefined))

/** How many requests of one server are answered. */
export interface InboundLimits {
  /** The time over which requests are counted. */
  readonly windowMs: number
  /** Those beyond so many in that time wait. */
  readonly sleepLimit: number
  readonly sleepDelayMs: number
  /** When so many wait, others are refused. */
  readonly rejectLimit: number
  /** So many are answered at once. */
  readonly concurrent: number
}

/** How this server and others talk to each other. */
export const federation = section(
  {
    federation_domain_whitelist: optional(listOf(domain, 'a list of server names')),
    federation_whitelist_endpoint_enabled: withDefault(flag, false),
    federation_custom_ca_list: optional(listOf(text, 'a list of files')),
    federation_certificate_verification_whitelist: withDefault(listOf(text, 'a list of server names'), []),
    federation_metrics_domains: withDefault(listOf(domain, 'a list of server names'), []),
    federation_rr_transactions_per_room_per_second: withDefault(quantity, 50),
    federation_client_minimum_tls_version: withDefault(tlsVersion, '1'),
    allow_profile_lookup_over_federation: withDefault(flag, true),
    allow_device_name_lookup_over_federation: withDefault(flag, false),
    rc_federation: group({
      window_size: withDefault(duration, 1000),
      sleep_limit: withDefault(integer(), 10),
      sleep_delay: withDefault(duration, 500),
      reject_limit: withDefault(integer(), 50),
      concurrent: withDefault(integer(1), 3),
    }),
    federation: group({
      client_timeout: withDefault(duration, 60_000),
      max_short_retry_delay: withDefault(duration, 2_000),
      max_long_retry_delay: withDefault(duration, 60_000),
      max_short_retries: withDefault(integer(), 3),
      max_long_retries: withDefault(integer(), 10),
      destination_min_retry_interval: withDefault(duration, 10 * 60_000),
      destination_retry_multiplier: withDefault(quantity, 2),
      destination_max_retry_interval: withDefault(duration, 7 * 24 * 60 * 60_000),
    }),
  },
  (raw) => ({
    /** Undefined: everybody. */
    allowedDomains: raw.federation_domain_whitelist && new Set(raw.federation_domain_whitelist),
    servesWhitelist: raw.federation_whitelist_endpoint_enabled,
    /** Of whose events it is measured how old they are when they are sent and received. */
    measuredDomains: new Set<string>(raw.federation_metrics_domains),
    /** How many transactions the receipts of one room may cause in a second, over all servers. */
    receiptsPerRoomPerSecond: Math.max(MIN_RECEIPTS, raw.federation_rr_transactions_per_room_per_second),
    /** Files with certificates in PEM, in place of the system's; undefined: the system's. */
    authorityPaths: raw.federation_custom_ca_list,
    /** Whether the certificate of a name need prove nothing. */
    isExemptFromVerification: anyGlob(raw.federation_certificate_verification_whitelist),
    minTlsVersion: TLS_VERSIONS[raw.federation_client_minimum_tls_version],
    allowsProfileLookup: raw.allow_profile_lookup_over_federation,
    allowsDeviceNameLookup: raw.allow_device_name_lookup_over_federation,
    inboundLimits: {
      windowMs: raw.rc_federation.window_size,
      sleepLimit: raw.rc_federation.sleep_limit,
      sleepDelayMs: raw.rc_federation.sleep_delay,
      rejectLimit: raw.rc_federation.reject_limit,
      concurrent: raw.rc_federation.concurrent,
    } satisfies InboundLimits,
    requestTimeoutMs: raw.federation.client_timeout,
    /** After failures that a few more attempts could not mend: how long a server is left alone. */
    backoff: {
      minMs: raw.federation.destination_min_retry_interval,
      factor: Math.max(1, raw.federation.destination_retry_multiplier),
      maxMs: raw.federation.destination_max_retry_interval,
    },
    /** The attempts before that. */
    retries: {
      count: raw.federation.max_short_retries,
      maxDelayMs: raw.federation.max_short_retry_delay,
    },
  }),
)

/** Nobody means never. */
const MIN_RECEIPTS = 0.1

function anyGlob(patterns: readonly string[]): (name: string) => boolean {
  const globs = patterns.map((pattern) => compileGlob(pattern, { ignoreCase: true }))
  return (name) => globs.some((matches) => matches(name))
}
