import type { CheckStep } from '../../net/federation/check-step.js'
import { checkOwnServer, checkServer } from '../federation-check.js'
import { sendSignedRequest } from '../federation-requests.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, info, ok, type Finding } from './finding.js'
import { toFinding } from './check-tls.js'

/** Whether other servers find this one, and with `--server` whether this one finds them and is understood. */
export const checkFederation: DoctorCheck = {
  name: 'federation',
  summary: 'the way of other servers to this one, and with --server the way to them',
  usesNetwork: true,
  async run(context) {
    const { config, server } = context
    if (config.federation.allowedDomains?.size === 0)
      return [info('federation_domain_whitelist lets nobody in')]
    const { steps } = await checkOwnServer(config)
    const own = steps
      .filter(wasTried)
      .map((step) =>
        toFinding(
          { ...step, summary: `${step.step}: ${step.summary}` },
          'other servers cannot talk to this one',
        ),
      )
    return server === undefined ? own : [...own, ...(await towards(context, server))]
  },
}

async function towards(
  { config }: DoctorContext,
  server: NonNullable<DoctorContext['server']>,
): Promise<Finding[]> {
  const { steps, ok: isReached } = await checkServer(server, config)
  const findings = steps
    .filter(wasTried)
    .map((step) =>
      toFinding(
        { ...step, summary: `${server}: ${step.step}: ${step.summary}` },
        `nothing reaches ${server}`,
      ),
    )
  if (!isReached) return findings
  return [...findings, await signedRequest(config, server)]
}

function wasTried({ outcome }: CheckStep): boolean {
  return outcome !== 'skipped'
}

/** They can only verify what is signed when they have fetched the keys: the way back is open, too. */
async function signedRequest(
  config: DoctorContext['config'],
  server: NonNullable<DoctorContext['server']>,
): Promise<Finding> {
  const userId = encodeURIComponent(`@mxhs-doctor:${server}`)
  const path = `/_matrix/federation/v1/query/profile?user_id=${userId}`
  let status: number
  try {
    status = (await sendSignedRequest(config, { serverName: server, method: 'GET', path, body: undefined }))
      .status
  } catch (error) {
    return failure(`${server}: no answer to a signed request: ${(error as Error).message}`, {
      consequence: `nothing is sent to ${server}`,
      cure: `mxhs federation check ${server}`,
    })
  }
  if (status === 401) {
    return failure(`${server} does not accept the signature of this server`, {
      consequence: `${server} cannot fetch the keys of this server, or knows others: nothing that is sent there counts`,
      cure: `mxhs federation keys ${config.server.serverName} --notary ${server} shows what it knows`,
    })
  }
  return ok(`${server} has fetched the keys of this server and verified a signature (status ${status})`)
}
