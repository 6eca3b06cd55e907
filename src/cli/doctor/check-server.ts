import type { HomeserverConfig } from '../../config/homeserver-config.js'
import { isJsonObject } from '../../util/json.js'
import { withRunningServer } from '../control-client.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, info, ok, warning, type Finding } from './finding.js'
import { get, jsonOf } from './public-address.js'

/** Whether the server runs, is of this version, and answers where it should listen. */
export const checkServer: DoctorCheck = {
  name: 'server',
  summary: 'whether the server runs, and answers where it listens',
  usesNetwork: true,
  async run(context) {
    const { config, version } = context
    const pong = await withRunningServer(config, (client) => client.call('ping'))
    const findings: Finding[] = []
    if (isJsonObject(pong)) {
      const { version: running, pid } = pong as { version: string; pid: number }
      findings.push(ok(`${running} runs as process ${pid}`))
      if (running !== version) {
        findings.push(
          warning(`${running} runs, and ${version} is installed`, {
            consequence: 'what was changed by the update does not count yet',
            cure: 'systemctl restart mxhs',
          }),
        )
      }
    }
    const listeners = await Promise.all(
      config.listeners.list.map((listener) => tryListener(context, listener)),
    )
    return [...findings, ...listeners.flat()]
  },
}

type Listener = HomeserverConfig['listeners']['list'][number]

async function tryListener(
  { http }: DoctorContext,
  { address, tls, tag, resources }: Listener,
): Promise<Finding[]> {
  if ('path' in address || address.port === 0) return []
  const isClients = resources.some(({ name }) => name === 'client')
  if (!isClients) return []
  // The certificate is for another name than this address.
  if (tls) return [info(`listener ${tag} speaks TLS: the check tls looks at it`)]
  const host = localAddress(address.bindAddresses[0] ?? '127.0.0.1')
  const url = `http://${host}:${address.port}/_matrix/client/versions`
  const reply = await get(http, url)
  if (typeof reply === 'string') {
    return [
      failure(`listener ${tag}: ${reply}`, {
        consequence: 'nobody can use the server, or it has just not been started',
        cure: 'mxhs start -c homeserver.yaml, or systemctl start mxhs',
      }),
    ]
  }
  if (Array.isArray(jsonOf(reply)?.['versions'])) return [ok(`listener ${tag} answers`)]
  return [
    failure(`what answers at ${url} is no homeserver (status ${reply.status})`, {
      consequence: 'the server cannot listen there',
      cure: `end what listens at port ${address.port}, or give the listener another one`,
    }),
  ]
}

/** What connects to a socket that is bound to it. */
function localAddress(bound: string): string {
  if (bound === '0.0.0.0' || bound === '') return '127.0.0.1'
  if (bound === '::') return '[::1]'
  return bound.includes(':') ? `[${bound}]` : bound
}
