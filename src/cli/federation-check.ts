import type { HomeserverConfig } from '../config/homeserver-config.js'
import { loadSigningKeys } from '../config/signing-key-file.js'
import type { CheckStep } from '../net/federation/check-step.js'
import { ServerCheck } from '../net/federation/server-check.js'
import type { ServerName } from '../protocol/ids.js'
import type { ServerKeyDocument } from '../protocol/server-keys.js'
import { withFederationNetwork } from './federation-network.js'

/** What `mxhs federation check` has found. */
export interface FederationReport {
  readonly server: string
  /** Whether other servers can talk to it; for others, whether this one can. */
  readonly ok: boolean
  readonly steps: readonly CheckStep[]
}

/** Looks at another server as the server of a configuration would see it. */
export async function checkServer(
  serverName: ServerName,
  config: HomeserverConfig | undefined,
): Promise<FederationReport> {
  const { steps } = await withFederationNetwork(config, async (network) =>
    new ServerCheck({ ...network, ...network.dialing }).run(serverName),
  )
  const refused = config?.federation.allowedDomains?.has(serverName) === false
  return report(serverName, refused ? [...steps, notAllowed(serverName)] : steps)
}

/**
 * Looks at the server of a configuration: at what the configuration says, and at what others see when they follow its
 * name. It may be inside the operator's own network, so that no addresses are denied.
 */
export async function checkOwnServer(config: HomeserverConfig): Promise<FederationReport> {
  const { serverName } = config.server
  const federation = { deniedRanges: [], allowedRanges: [] }
  const anywhere = { ...config, network: { ...config.network, federation } }
  const { steps, keys } = await withFederationNetwork(anywhere, async (network) =>
    new ServerCheck({ ...network, ...network.dialing }).run(serverName),
  )
  const own = [listenerStep(config), ...wellKnownSteps(config, steps)]
  if (keys !== undefined) own.push(await keysStep(config, keys))
  return report(serverName, [...own, ...steps])
}

function report(server: string, steps: readonly CheckStep[]): FederationReport {
  return { server, ok: steps.every(({ outcome }) => outcome !== 'failed'), steps }
}

function notAllowed(serverName: ServerName): CheckStep {
  return {
    step: 'configuration',
    outcome: 'failed',
    summary: `${serverName} is not in federation_domain_whitelist`,
    cause: 'this server talks only to those in the list',
    cure: 'add it to federation_domain_whitelist',
  }
}

function listenerStep({ listeners }: HomeserverConfig): CheckStep {
  const serving = listeners.list.filter(({ resources }) =>
    resources.some(({ name }) => name === 'federation'),
  )
  if (serving.length > 0) {
    const summary = `served by the listeners ${serving.map(({ tag }) => tag).join(', ')}`
    return { step: 'configuration', outcome: 'ok', summary }
  }
  return {
    step: 'configuration',
    outcome: 'failed',
    summary: 'no listener serves federation',
    cause: 'none of the listeners has the resource federation',
    cure: 'add federation to the names of the resources of a listener',
  }
}

/** What the configuration says of delegation, against what others find. */
function wellKnownSteps({ server }: HomeserverConfig, steps: readonly CheckStep[]): CheckStep[] {
  const found = steps.find(({ step }) => step === 'well-known')
  if (!server.servesServerWellKnown || found?.outcome === 'skipped') return []
  const seen = found?.details?.['server']
  const expected = `${server.serverName}:443`
  if (seen === expected) return []
  return [
    {
      step: 'configuration',
      outcome: 'warning',
      summary: `others find ${typeof seen === 'string' ? seen : 'nothing'} at /.well-known/matrix/server`,
      cause: `serve_server_wellknown is true, so it should be ${expected}`,
      cure: `pass https://${server.serverName}/.well-known/matrix/server on to this server`,
    },
  ]
}

/** Whether it is this server that others reach. */
async function keysStep(config: HomeserverConfig, keys: ServerKeyDocument): Promise<CheckStep> {
  const { current } = await loadSigningKeys(config.signingKeys)
  const published = new Map(keys.keys.map(({ keyId, key }) => [keyId, key.base64]))
  const missing = current.filter(({ keyId, key }) => published.get(keyId) !== key.verifyKey.base64)
  if (missing.length === 0) {
    return { step: 'configuration', outcome: 'ok', summary: 'others see the keys of this configuration' }
  }
  return {
    step: 'configuration',
    outcome: 'failed',
    summary: `others do not see ${missing.map(({ keyId }) => keyId).join(', ')}`,
    cause:
      'what answers under this name has other keys: another server, or one that was started with another key',
    cure: 'let the name lead to this server, and restart it if its key has changed',
  }
}
