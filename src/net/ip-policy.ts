import { BlockList, isIP } from 'node:net'

export interface IpRanges {
  /** In CIDR notation, as are the others. */
  readonly deniedRanges: readonly string[]
  /** Exceptions from those denied. */
  readonly allowedRanges: readonly string[]
}

/** An address that the server's own requests must not go to. */
export class AddressDeniedError extends Error {
  override readonly name = 'AddressDeniedError'
}

/** Which addresses the server's own requests may go to. Asked for the address that is dialled, not for its name. */
export class IpPolicy {
  readonly #denied: BlockList
  readonly #allowed: BlockList

  constructor({ deniedRanges, allowedRanges }: IpRanges) {
    this.#denied = toBlockList(deniedRanges)
    this.#allowed = toBlockList(allowedRanges)
  }

  /** False for what is no IP address, too. Addresses of IPv4 that are written as IPv6 count as what they are. */
  allows(address: string): boolean {
    const forms = formsOf(address)
    if (forms.length === 0) return false
    if (forms.some(({ text, family }) => this.#allowed.check(text, family))) return true
    return !forms.some(({ text, family }) => this.#denied.check(text, family))
  }
}

interface AddressForm {
  readonly text: string
  readonly family: 'ipv4' | 'ipv6'
}

/** The address, and that of IPv4 which translators and routers would make of it. */
function formsOf(address: string): readonly AddressForm[] {
  const text = address.replace(/%.*$/, '')
  const family = isIP(text)
  if (family === 4) return [{ text, family: 'ipv4' }]
  if (family !== 6) return []
  const embedded = embeddedIpv4(text)
  const form: AddressForm = { text, family: 'ipv6' }
  return embedded === undefined ? [form] : [form, { text: embedded, family: 'ipv4' }]
}

/** Prefixes in front of an address of IPv4, as groups: mapped, compatible, NAT64. */
const EMBEDDING = ['0:0:0:0:0:ffff', '0:0:0:0:0:0', '64:ff9b:0:0:0:0']
/** 6to4: the address follows at once. */
const SIX_TO_FOUR = '2002'

function embeddedIpv4(address: string): string | undefined {
  const groups = groupsOf(address)
  if (EMBEDDING.includes(groups.slice(0, 6).map(hex).join(':'))) return toIpv4(groups[6]!, groups[7]!)
  return hex(groups[0]!) === SIX_TO_FOUR ? toIpv4(groups[1]!, groups[2]!) : undefined
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  // The URL parser knows all ways of writing them.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = '', tail] = canonical.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  return [...before, ...zeros, ...after].map((group) => parseInt(group, 16))
}

function hex(group: number): string {
  return group.toString(16)
}

function toIpv4(high: number, low: number): string {
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}

function toBlockList(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits = ''] = range.split('/')
    const family = isIP(address)
    if (family === 0) throw new RangeError(`Not a range of addresses: ${range}`)
    const width = family === 4 ? 32 : 128
    list.addSubnet(address, bits === '' ? width : Number(bits), family === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}
