import type { Clock } from '../../util/clock.js'
import type { TlsSettings } from '../dialer.js'
import { toHttpFailure } from '../http-failure.js'
import { probeCertificate, type CertificateReport } from './certificate-probe.js'
import type { CheckStep } from './check-step.js'
import type { ServerTarget } from './server-resolver.js'

const DAY_MS = 24 * 60 * 60_000
/** Certificates that end sooner should have been renewed. */
const RENEWAL_MS = 14 * DAY_MS

/** What codes of OpenSSL and Node mean, and what helps. */
const PROBLEMS: Readonly<Record<string, readonly [cause: string, cure: string]>> = {
  CERT_HAS_EXPIRED: ['it has expired', 'renew it'],
  CERT_NOT_YET_VALID: ['it is not valid yet', 'compare the clocks of both machines'],
  DEPTH_ZERO_SELF_SIGNED_CERT: [
    'it is signed by itself',
    'get one from an authority, or put it into federation_custom_ca_list of those who should trust it',
  ],
  SELF_SIGNED_CERT_IN_CHAIN: [
    'the authority that has signed it is not trusted',
    'get one from another authority, or put this one into federation_custom_ca_list of those who should trust it',
  ],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [
    'the certificates between it and its authority are missing, or the authority is not trusted',
    'let the server send the whole chain (fullchain.pem rather than cert.pem)',
  ],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: [
    'the certificates between it and its authority are missing, or the authority is not trusted',
    'let the server send the whole chain (fullchain.pem rather than cert.pem)',
  ],
}

/** What failures to connect mean, and what helps. */
const NO_CONNECTION: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'start the server, let it listen at that port, or delegate to the port at which it does',
  ETIMEDOUT: 'let the firewall pass the port',
  EHOSTUNREACH: 'look at the address and the routes to it',
  ENETUNREACH: 'this machine has no way to such addresses: without IPv6 that is no harm if there are others',
}

export interface CertificateJudgeDependencies {
  readonly tls: TlsSettings
  readonly clock: Pick<Clock, 'now' | 'setTimeout'>
}

/** Looks at what servers show at single addresses. */
export class CertificateJudge {
  readonly #deps: CertificateJudgeDependencies

  constructor(deps: CertificateJudgeDependencies) {
    this.#deps = deps
  }

  async judge({ port, tlsName }: ServerTarget, address: string): Promise<CheckStep> {
    const place = `${address.includes(':') ? `[${address}]` : address}:${port}`
    try {
      const report = await probeCertificate({ ...this.#deps, address, port, tlsName })
      return this.#assess(place, tlsName, report)
    } catch (error) {
      const { message, code } = toHttpFailure(error)
      return {
        step: 'certificate',
        outcome: 'failed',
        summary: `${place}: no connection`,
        cause: message,
        cure: NO_CONNECTION[code ?? ''] ?? 'what listens there must speak TLS',
        details: { address, port },
      }
    }
  }

  #assess(place: string, tlsName: string, report: CertificateReport): CheckStep {
    const until = new Date(report.validUntilTs).toISOString()
    const summary = `${place}: ${report.protocol}, by ${report.issuer}, until ${until}`
    const details = { place, names: [...report.names], protocol: report.protocol, valid_until: until }
    const { tls, clock } = this.#deps
    const counts = tls.verify && tls.isExempt?.(tlsName) !== true
    if (report.problem !== undefined) {
      const [cause, cure] = explain(report, tlsName)
      const outcome = counts ? 'failed' : 'warning'
      return { step: 'certificate', outcome, summary, cause, cure, details }
    }
    if (report.validUntilTs < clock.now() + RENEWAL_MS) {
      const cause = 'it expires in less than two weeks'
      return { step: 'certificate', outcome: 'warning', summary, cause, cure: 'renew it', details }
    }
    return { step: 'certificate', outcome: 'ok', summary, details }
  }
}

function explain({ problem = '', names }: CertificateReport, tlsName: string): readonly [string, string] {
  if (problem === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const found = names.length === 0 ? 'no name' : names.slice(0, 10).join(', ')
    return [`it is for ${found}, not for ${tlsName}`, `get one for ${tlsName}`]
  }
  return PROBLEMS[problem] ?? [`it is not accepted (${problem})`, 'get another one']
}
