import { isIP } from 'node:net'
import { connect, createSecureContext, type TLSSocket } from 'node:tls'
import type { Clock } from '../../util/clock.js'
import type { TlsSettings } from '../dialer.js'
import { toHttpFailure } from '../http-failure.js'

/** What a server shows to prove who it is. */
export interface CertificateReport {
  /** As in `TLSv1.3`. */
  readonly protocol: string
  /** Names and addresses that the certificate is for. */
  readonly names: readonly string[]
  readonly issuer: string
  readonly validFromTs: number
  readonly validUntilTs: number
  /** Why it is not accepted: OpenSSL's and Node's code; undefined where it is. */
  readonly problem: string | undefined
}

export interface CertificateProbe {
  /** An IP address. */
  readonly address: string
  readonly port: number
  /** The name or address that the certificate must be for. */
  readonly tlsName: string
  readonly tls: TlsSettings
  readonly clock: Pick<Clock, 'setTimeout'>
}

const TIMEOUT_MS = 10_000

/** Connects and looks at the certificate, whether it is accepted or not. Rejects with a `HttpFailure` where none comes. */
export async function probeCertificate(probe: CertificateProbe): Promise<CertificateReport> {
  const { address, port, tlsName, tls } = probe
  const socket = connect({
    host: address,
    port,
    ...(isIP(tlsName) === 0 ? { servername: tlsName } : {}),
    rejectUnauthorized: false,
    secureContext: createSecureContext({
      ...(tls.authorities === undefined ? {} : { ca: [...tls.authorities] }),
      ...(tls.minVersion === undefined ? {} : { minVersion: tls.minVersion }),
    }),
  })
  const timer = probe.clock.setTimeout(() => {
    socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' }))
  }, TIMEOUT_MS)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve).once('error', reject)
    })
    return read(socket)
  } catch (error) {
    throw toHttpFailure(error)
  } finally {
    timer.cancel()
    socket.on('error', () => undefined)
    socket.destroy()
  }
}

function read(socket: TLSSocket): CertificateReport {
  const certificate = socket.getPeerCertificate()
  // An Error in the types, a code in fact, and with a mismatch of names an Error with a code.
  const problem = socket.authorizationError as unknown as string | (Error & { code?: string }) | null
  return {
    protocol: socket.getProtocol() ?? 'unknown',
    names: namesOf(certificate.subjectaltname),
    issuer: textOf(certificate.issuer.O) ?? textOf(certificate.issuer.CN) ?? 'unknown',
    validFromTs: Date.parse(certificate.valid_from),
    validUntilTs: Date.parse(certificate.valid_to),
    problem: socket.authorized ? undefined : codeOf(problem),
  }
}

function codeOf(problem: string | (Error & { code?: string }) | null): string {
  if (problem === null) return 'unknown'
  return typeof problem === 'string' ? problem : (problem.code ?? problem.message)
}

function namesOf(alternativeNames: string | undefined): string[] {
  return (alternativeNames ?? '')
    .split(', ')
    .map((entry) => entry.replace(/^(?:DNS|IP Address):/, ''))
    .filter((entry) => entry !== '')
}

/** Certificates may name several. */
function textOf(value: string | string[] | undefined): string | undefined {
  return typeof value === 'object' ? value[0] : value
}
