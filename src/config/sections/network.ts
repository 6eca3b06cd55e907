import { isIP } from 'node:net'
import { section } from '../section.js'
import { flag, listOf, value, withDefault } from '../values.js'

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
const UNSPECIFIED = ['0.0.0.0/32', '::/128']

/** An address stands for itself alone. */
const ipRange = value('an IP address, or a range such as 10.0.0.0/8', (raw) => {
  if (typeof raw !== 'string') return undefined
  const [address = '', bits, ...rest] = raw.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return undefined
  const width = family === 4 ? 32 : 128
  if (bits === undefined) return `${address}/${width}`
  return /^\d{1,3}$/.test(bits) && Number(bits) <= width ? raw : undefined
})

/** Where requests of the server's own may go. */
export const network = section(
  {
    ip_range_blacklist: withDefault(listOf(ipRange, 'a list of IP ranges'), DEFAULT_DENIED),
    ip_range_whitelist: withDefault(listOf(ipRange, 'a list of IP ranges'), []),
    federation_verify_certificates: withDefault(flag, true),
  },
  (raw) => ({
    /** In CIDR notation, as is the other. */
    deniedRanges: [...raw.ip_range_blacklist, ...UNSPECIFIED] as readonly string[],
    /** Exceptions from those denied. */
    allowedRanges: raw.ip_range_whitelist,
    verifiesCertificates: raw.federation_verify_certificates,
  }),
)
