import { isIP } from 'node:net'
import { section } from '../section.js'
import { flag, listOf, optional, text, value, withDefault } from '../values.js'

/** Private and reserved ranges: what is asked of other servers must not reach the operator's own network. */
const DEFAULT_DENIED = [
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '192.0.0.0/24',
  '169.254.0.0/16',
  '192.88.99.0/24',
  '198.18.0.0/15',
  '192.0.2.0/24',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '::1/128',
  'fe80::/10',
  'fc00::/7',
  '2001:db8::/32',
  'ff00::/8',
  'fec0::/10',
]

/** No addresses at all, and so never to be spoken to. */
export const UNSPECIFIED: readonly string[] = ['0.0.0.0/32', '::/128']

/** An address stands for itself alone. */
export const ipRange = value('an IP address, or a range such as 10.0.0.0/8', (raw) => {
  if (typeof raw !== 'string') return undefined
  const [address = '', bits, ...rest] = raw.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return undefined
  const width = family === 4 ? 32 : 128
  if (bits === undefined) return `${address}/${width}`
  return /^\d{1,3}$/.test(bits) && Number(bits) <= width ? raw : undefined
})

/** Of a header: without line breaks and what is not ASCII. */
const headerText = value('a text of ASCII characters', (raw) =>
  typeof raw === 'string' && /^[\x20-\x7e]*$/.test(raw) ? raw : undefined,
)

const proxyUrl = value('the address of a proxy, such as http://proxy.example.org:3128', parseProxy)

/** With or without its scheme; an empty text is none. */
function parseProxy(raw: unknown): URL | undefined {
  if (typeof raw !== 'string' || raw === '') return undefined
  const url = raw.includes('://') ? raw : `http://${raw}`
  return /^https?:/.test(url) && URL.canParse(url) ? new URL(url) : undefined
}

function parseHosts(list: string | undefined): readonly string[] {
  return (list ?? '')
    .split(',')
    .map((host) => host.trim())
    .filter((host) => host !== '')
}

/** Where requests of the server's own may go. */
export const network = section(
  {
    ip_range_blacklist: withDefault(listOf(ipRange, 'a list of IP ranges'), DEFAULT_DENIED),
    ip_range_whitelist: withDefault(listOf(ipRange, 'a list of IP ranges'), []),
    federation_ip_range_blacklist: optional(listOf(ipRange, 'a list of IP ranges')),
    federation_verify_certificates: withDefault(flag, true),
    http_proxy: optional(proxyUrl),
    https_proxy: optional(proxyUrl),
    no_proxy_hosts: optional(listOf(text, 'a list of hosts')),
    user_agent_suffix: optional(headerText),
  },
  (raw, { env }) => ({
    ...rangesOf(raw.ip_range_blacklist, raw.ip_range_whitelist),
    /** For requests to other homeservers: the old key has a list of its own for them, and no exceptions from it. */
    federation:
      raw.federation_ip_range_blacklist === undefined
        ? rangesOf(raw.ip_range_blacklist, raw.ip_range_whitelist)
        : rangesOf(raw.federation_ip_range_blacklist, []),
    verifiesCertificates: raw.federation_verify_certificates,
    /** For plain requests; undefined: directly. */
    httpProxy: raw.http_proxy ?? parseProxy(env['http_proxy']),
    /** For requests with TLS. */
    httpsProxy: raw.https_proxy ?? parseProxy(env['https_proxy'] ?? env['HTTPS_PROXY']),
    /** With a space in front; empty where there is none. */
    userAgentSuffix: raw.user_agent_suffix === undefined ? '' : ` ${raw.user_agent_suffix}`,
    /** Hosts that are reached directly. */
    directHosts: raw.no_proxy_hosts ?? parseHosts(env['no_proxy'] ?? env['NO_PROXY']),
  }),
)

function rangesOf(denied: readonly string[], allowed: readonly string[]) {
  return {
    /** In CIDR notation, as is the other. */
    deniedRanges: [...denied, ...UNSPECIFIED] as readonly string[],
    /** Exceptions from those denied. */
    allowedRanges: allowed,
  }
}
