import { isIP } from 'node:net'
import { CertificateJudge } from '../../net/federation/certificate-judge.js'
import type { CheckStep } from '../../net/federation/check-step.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, info, ok, warning, type Finding } from './finding.js'
import { publicAddress } from './public-address.js'

const MAX_ADDRESSES = 8

/** The certificate that clients see: chain, name, expiry. Those that other servers see: `federation`. */
export const checkTls: DoctorCheck = {
  name: 'tls',
  summary: 'the certificate that clients see: chain, name and expiry',
  usesNetwork: true,
  async run(context) {
    const { host, port, tls } = publicAddress(context.config)
    if (!tls) return [info('public_baseurl is without TLS: there is no certificate to look at')]
    const addresses = await addressesOf(context, host)
    if (addresses.length === 0) return [info(`${host} has no address: there is no certificate to look at`)]
    const judge = new CertificateJudge({ tls: context.tls, clock: context.clock })
    const target = { host, port, tlsName: host, hostHeader: host }
    const steps = await Promise.all(addresses.map((address) => judge.judge(target, address)))
    return steps.map((step) => toFinding(step))
  },
}

async function addressesOf({ network }: DoctorContext, host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host]
  const found = await network.dialing.dns.lookup(host).catch(() => [])
  return found.slice(0, MAX_ADDRESSES).map(({ address }) => address)
}

/** What a step on the way to a server comes to, with what it means where it fails. */
export function toFinding(step: CheckStep, consequence = 'clients refuse to connect'): Finding {
  const { outcome, summary, cause, cure, details } = step
  const seen = cause === undefined ? summary : `${summary}: ${cause}`
  const rest = details === undefined ? {} : { details }
  if (outcome === 'ok') return ok(seen, details)
  if (outcome === 'skipped') return info(seen, rest)
  const remedy = { consequence, cure: cure ?? 'mxhs federation check says more', ...rest }
  if (outcome === 'failed') return failure(seen, remedy)
  return warning(seen, { ...remedy, consequence: `soon, ${consequence}` })
}
