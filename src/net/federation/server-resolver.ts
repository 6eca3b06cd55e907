import { isIP } from 'node:net'
import type { ServerName } from '../../protocol/ids.js'
import type { Dns, SrvRecord } from '../dns.js'
import type { WellKnown, WellKnownAnswer } from './well-known.js'

/** One place where a server may be reached. */
export interface ServerTarget {
  /** What to dial: a host name or an IP address, without brackets. */
  readonly host: string
  readonly port: number
  /** The name or address that the certificate must be for. */
  readonly tlsName: string
  /** The `Host` header. */
  readonly hostHeader: string
}

/** By which rule a server was found. https://spec.matrix.org/latest/server-server-api/#resolving-server-names */
export type ResolutionRule =
  | 'ip literal'
  | 'explicit port'
  | 'well-known, ip literal'
  | 'well-known, explicit port'
  | 'well-known, srv'
  | 'well-known, deprecated srv'
  | 'well-known, default port'
  | 'srv'
  | 'deprecated srv'
  | 'default port'

/** One name of an SRV record that was asked for. */
export interface SrvLookup {
  readonly name: string
  readonly records: readonly SrvRecord[]
  /** Why it could not be asked for; it counts as no record. */
  readonly failure?: string
}

/** Where a server is, and how that was found out. */
export interface ServerResolution {
  readonly rule: ResolutionRule
  /** In the order in which they are to be tried; empty when SRV says that there is no such service. */
  readonly targets: readonly ServerTarget[]
  /** Undefined where it is not asked for. */
  readonly wellKnown: WellKnownAnswer | undefined
  readonly srv: readonly SrvLookup[]
}

export interface ServerResolverDependencies {
  readonly dns: Pick<Dns, 'resolveSrv'>
  readonly wellKnown: Pick<WellKnown, 'lookup' | 'forget'>
  /** Between 0 (inclusive) and 1: chooses among records of equal priority. */
  readonly random: () => number
}

const DEFAULT_PORT = 8448
const SRV_PREFIXES = [
  ['_matrix-fed._tcp', 'srv'],
  ['_matrix._tcp', 'deprecated srv'],
] as const

interface Address {
  /** Without brackets. */
  readonly host: string
  readonly port: number | undefined
  readonly isLiteral: boolean
  /** As in the server name, brackets and port included. */
  readonly text: string
}

/** From the name of a server to where it is. Asks no server for addresses: that is done when it is dialled. */
export class ServerResolver {
  readonly #deps: ServerResolverDependencies

  constructor(deps: ServerResolverDependencies) {
    this.#deps = deps
  }

  /** https://spec.matrix.org/latest/server-server-api/#resolving-server-names */
  async resolve(serverName: ServerName): Promise<ServerResolution> {
    const own = parseAddress(serverName)
    // 1. An IP literal: that address, with the port that is given, or 8448.
    if (own.isLiteral) return fixed('ip literal', own)
    // 2. A hostname with a port.
    if (own.port !== undefined) return fixed('explicit port', own)
    const wellKnown = await this.#deps.wellKnown.lookup(own.host)
    if (wellKnown.kind === 'delegated') return this.#resolveDelegated(wellKnown)
    // 4. to 6.
    return { ...(await this.#resolveName(own)), wellKnown }
  }

  /** So that the next time everything is asked for that can be. */
  forget(serverName: ServerName): void {
    this.#deps.wellKnown.forget(parseAddress(serverName).host)
  }

  /** 3. As before, but for the name that the server delegates to, which is not asked in its turn. */
  async #resolveDelegated(
    wellKnown: WellKnownAnswer & { readonly kind: 'delegated' },
  ): Promise<ServerResolution> {
    const delegated = parseAddress(wellKnown.server)
    if (delegated.isLiteral) return { ...fixed('well-known, ip literal', delegated), wellKnown }
    if (delegated.port !== undefined) return { ...fixed('well-known, explicit port', delegated), wellKnown }
    const { rule, ...resolution } = await this.#resolveName(delegated)
    return { ...resolution, rule: `well-known, ${rule}`, wellKnown }
  }

  async #resolveName(
    name: Address,
  ): Promise<
    Omit<ServerResolution, 'rule' | 'wellKnown'> & { rule: 'srv' | 'deprecated srv' | 'default port' }
  > {
    // Both at once: whoever has the older record alone does not wait for longer.
    const srv = await Promise.all(SRV_PREFIXES.map(([prefix]) => this.#lookupSrv(`${prefix}.${name.host}`)))
    for (const [index, [, rule]] of SRV_PREFIXES.entries()) {
      const { records } = srv[index]!
      if (records.length === 0) continue
      // A target of "." says that the service is decidedly not available.
      const targets = orderRecords(records, this.#deps.random)
        .filter((record) => record.name !== '' && record.name !== '.')
        .map((record) => ({
          host: record.name.replace(/\.$/, ''),
          port: record.port,
          tlsName: name.host,
          hostHeader: name.host,
        }))
      return { rule, targets, srv }
    }
    return { rule: 'default port', targets: [targetAt(name, DEFAULT_PORT)], srv }
  }

  async #lookupSrv(name: string): Promise<SrvLookup> {
    try {
      return { name, records: await this.#deps.dns.resolveSrv(name) }
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      return { name, records: [], failure: code ?? message }
    }
  }
}

function fixed(rule: ResolutionRule, address: Address): ServerResolution {
  const target = targetAt(address, address.port ?? DEFAULT_PORT)
  return { rule, targets: [target], wellKnown: undefined, srv: [] }
}

function targetAt({ host, text }: Address, port: number): ServerTarget {
  return { host, port, tlsName: host, hostHeader: text }
}

function parseAddress(serverName: ServerName): Address {
  const portText = /:(\d{1,5})$/.exec(serverName)?.[1]
  const hostText = portText === undefined ? serverName : serverName.slice(0, -portText.length - 1)
  const host = hostText.startsWith('[') ? hostText.slice(1, -1) : hostText
  return {
    host,
    port: portText === undefined ? undefined : Number(portText),
    isLiteral: isIP(host) !== 0,
    text: serverName,
  }
}

/** By priority; among equals at random, by weight. https://www.rfc-editor.org/rfc/rfc2782 */
export function orderRecords(records: readonly SrvRecord[], random: () => number): SrvRecord[] {
  const priorities = [...new Set(records.map(({ priority }) => priority))].sort((a, b) => a - b)
  return priorities.flatMap((priority) =>
    shuffleByWeight(
      records.filter((record) => record.priority === priority),
      random,
    ),
  )
}

function shuffleByWeight(records: readonly SrvRecord[], random: () => number): SrvRecord[] {
  // Those without weight come first, so that they have a small chance.
  const left = records.toSorted((a, b) => a.weight - b.weight)
  const ordered: SrvRecord[] = []
  while (left.length > 0) {
    const total = left.reduce((sum, { weight }) => sum + weight, 0)
    let chosen = Math.floor(random() * (total + 1))
    const index = left.findIndex(({ weight }) => (chosen -= weight) <= 0)
    ordered.push(...left.splice(index, 1))
  }
  return ordered
}
