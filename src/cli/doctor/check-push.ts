import { PusherHealthStore } from '../../storage/stores/pusher-health.js'
import { HttpFailure } from '../../net/http-client.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { info, ok, warning, type Finding } from './finding.js'

const MAX_GATEWAYS = 8
const TIMEOUT_MS = 10_000
const DAY_MS = 24 * 60 * 60_000

/** Whether the gateways can be reached through which notifications go to phones. */
export const checkPush: DoctorCheck = {
  name: 'push',
  summary: 'the gateways that notifications go through',
  usesNetwork: true,
  async run(context) {
    if (!context.config.push.enabled) return [info('push.enabled is false: nobody is notified')]
    const db = await context.database()
    if (db === undefined) return [info('nobody is to be notified yet')]
    const gateways = await new PusherHealthStore().listGateways(db.reader, MAX_GATEWAYS)
    if (gateways.length === 0) return [ok('no client has asked for notifications')]
    const findings = await Promise.all(gateways.map((gateway) => tryGateway(context, gateway)))
    return findings.flat()
  },
}

type Gateway = Awaited<ReturnType<PusherHealthStore['listGateways']>>[number]

async function tryGateway({ network, clock }: DoctorContext, gateway: Gateway): Promise<Finding[]> {
  const { url, pushers, failing, failingSinceTs } = gateway
  const findings: Finding[] = []
  try {
    // Whatever it says to an empty request, it is there.
    await network.http.request({ method: 'GET', url, timeoutMs: TIMEOUT_MS })
    findings.push(ok(`${url} answers (${pushers} pushers)`, { url, pushers }))
  } catch (error) {
    if (!(error instanceof HttpFailure)) throw error
    findings.push(
      warning(`${url}: ${error.message}`, {
        consequence: `${pushers} devices get no notifications`,
        cure: 'let this machine reach it (firewall, http_proxy, ip_range_whitelist), or wait for those who run it',
        details: { url, pushers },
      }),
    )
  }
  if (failingSinceTs !== undefined && failingSinceTs < clock.now() - DAY_MS) {
    findings.push(
      warning(
        `${failing} of ${pushers} pushers at ${url} have failed since ${new Date(failingSinceTs).toISOString()}`,
        {
          consequence: 'these devices get no notifications',
          cure: 'the log says why (component delivery); pushers that the gateway does not know are removed by themselves',
        },
      ),
    )
  }
  return findings
}
