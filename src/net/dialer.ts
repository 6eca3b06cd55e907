import { isIP, type LookupFunction, type Socket } from 'node:net'
import { createSecureContext, type ConnectionOptions, type SecureVersion } from 'node:tls'
import type { buildConnector } from 'undici'
import { AddressDeniedError, type IpPolicy } from './ip-policy.js'
import type { Dns, ResolvedAddress } from './dns.js'
import { openTunnel, type ProxyChooser } from './proxy.js'

/** How the other side has to prove who it is. */
export interface TlsSettings {
  /** False: by nothing at all. */
  readonly verify: boolean
  /** Certificates in PEM that are trusted instead of the system's. */
  readonly authorities?: readonly string[] | undefined
  readonly minVersion?: SecureVersion | undefined
  /** Names that need prove nothing. */
  readonly isExempt?: ((name: string) => boolean) | undefined
}

export interface DialerOptions {
  readonly dns: Dns
  readonly policy: IpPolicy
  readonly tls: TlsSettings
  readonly proxy?: ProxyChooser | undefined
}

/** Where a connection goes. */
export interface DialTarget {
  /** A host name or an IP address, without brackets. */
  readonly host: string
  readonly port: number
  /** With TLS: the name or address that the certificate must be for. Without: undefined. */
  readonly tlsName: string | undefined
}

const CONNECT_TIMEOUT_MS = 10_000

/**
 * Opens connections: looks names up, refuses addresses that the configuration denies, and checks certificates.
 * The policy is asked for the address that is dialled, so that no name can lead around it.
 */
export class Dialer {
  readonly #options: DialerOptions
  #connectors: Promise<Connectors> | undefined

  constructor(options: DialerOptions) {
    this.#options = options
  }

  /** In undici's style: `callback` gets the socket, or why there is none. */
  dial(target: DialTarget, callback: buildConnector.Callback): void {
    const proxy = this.#options.proxy?.({ host: target.host, isTls: target.tlsName !== undefined })
    // Look-ups are skipped for what is an address already.
    if (proxy === undefined && isIP(target.host) !== 0 && !this.#options.policy.allows(target.host)) {
      callback(denied(target.host), null)
      return
    }
    const tunnel = proxy === undefined ? undefined : openTunnel(proxy, target, CONNECT_TIMEOUT_MS)
    // Made when the first connection is: reading all authorities takes longer than connecting.
    this.#connectors ??= createConnectors(this.#options)
    Promise.all([this.#connectors, tunnel]).then(
      ([connectors, socket]) => this.#finish(target, { connectors, tunnel: socket }, callback),
      (error: unknown) => callback(error as Error, null),
    )
  }

  #finish(
    target: DialTarget,
    { connectors, tunnel }: { connectors: Connectors; tunnel: Socket | undefined },
    callback: buildConnector.Callback,
  ): void {
    const { host, port, tlsName } = target
    if (tlsName === undefined && tunnel !== undefined) {
      callback(null, tunnel)
      return
    }
    const isExempt = tlsName !== undefined && this.#options.tls.isExempt?.(tlsName) === true
    const connect = isExempt ? connectors.connectExempt : connectors.connect
    // Addresses are no names to be told to the other side: certificates are held against the host then.
    const servername = tlsName === undefined || isIP(tlsName) !== 0 ? undefined : tlsName
    connect(
      {
        hostname: host,
        host,
        port: String(port),
        protocol: tlsName === undefined ? 'http:' : 'https:',
        ...(servername === undefined ? {} : { servername }),
        ...(tunnel === undefined ? {} : { httpSocket: tunnel }),
      },
      callback,
    )
  }
}

interface Connectors {
  readonly connect: buildConnector.connector
  /** To names that need prove nothing. */
  readonly connectExempt: buildConnector.connector
}

async function createConnectors(options: DialerOptions): Promise<Connectors> {
  const { buildConnector } = await import('undici')
  const { verify, authorities, minVersion } = options.tls
  const secureContext = createSecureContext({
    ...(authorities === undefined ? {} : { ca: [...authorities] }),
    ...(minVersion === undefined ? {} : { minVersion }),
  })
  const build = (rejectUnauthorized: boolean): buildConnector.connector =>
    buildConnector({
      lookup: createLookup(options),
      rejectUnauthorized,
      secureContext,
      timeout: CONNECT_TIMEOUT_MS,
    } satisfies ConnectionOptions & { timeout: number })
  const connectExempt = build(false)
  return { connectExempt, connect: verify ? build(true) : connectExempt }
}

/** `lookup` of `net.connect`, by our own DNS, leaving out addresses that are denied. */
function createLookup({ dns, policy }: DialerOptions): LookupFunction {
  return (hostname, options, callback) => {
    const answer = (found: readonly ResolvedAddress[]): void => {
      const wanted = options.family === 4 || options.family === 6 ? options.family : undefined
      const usable = found.filter(({ family }) => wanted === undefined || family === wanted)
      const allowed = usable.filter(({ address }) => policy.allows(address))
      const first = allowed[0]
      if (first === undefined) {
        callback(usable[0] === undefined ? notFound(hostname) : denied(usable[0].address, hostname), '')
      } else if (options.all === true) callback(null, [...allowed])
      else callback(null, first.address, first.family)
    }
    dns.lookup(hostname).then(answer, (error: unknown) => callback(error as NodeJS.ErrnoException, ''))
  }
}

function denied(address: string, hostname?: string): AddressDeniedError {
  const what = hostname === undefined ? address : `${address}, the address of ${hostname},`
  return new AddressDeniedError(`${what} is in ip_range_blacklist`)
}

function notFound(hostname: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${hostname} has no address`), { code: 'ENOTFOUND' })
}
