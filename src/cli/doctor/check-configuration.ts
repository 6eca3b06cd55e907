import { formatNotice } from '../../config/config-error.js'
import type { HomeserverConfig } from '../../config/homeserver-config.js'
import type { DoctorCheck } from './doctor-check.js'
import { failure, info, ok, warning, type Finding } from './finding.js'

/** Begins what is said of keys without which nothing is lost. */
const HARMLESS = 'has no effect'

/** Whether the file says what its author may have meant. That it can be used at all is known before. */
export const checkConfiguration: DoctorCheck = {
  name: 'configuration',
  summary: 'what homeserver.yaml says, and what it does not',
  usesNetwork: false,
  run({ config, warnings }) {
    const findings = [...warnings.map(ofNotice), ...ofListeners(config), ...ofAddress(config)]
    const isFine = findings.every(({ level }) => level === 'info')
    const valid = ok(`the configuration of ${config.server.serverName} can be used`)
    return Promise.resolve(isFine ? [valid, ...findings] : findings)
  },
}

function ofNotice(notice: Parameters<typeof formatNotice>[0]): Finding {
  const summary = formatNotice(notice)
  if (notice.message.startsWith(HARMLESS)) return info(summary)
  return warning(summary, {
    consequence: 'the server does not do what this key asks for',
    cure: `take ${notice.path === '' ? 'it' : notice.path} out of the configuration, or do without`,
  })
}

const LOOPBACK = /^(?:127\.|::1$|localhost$)/

function ofListeners({ listeners }: HomeserverConfig): Finding[] {
  const clients = listeners.list.filter(({ resources }) => resources.some(({ name }) => name === 'client'))
  if (clients.length === 0) {
    return [
      failure('no listener serves clients', {
        consequence: 'nobody can log in',
        cure: 'add client to the names of the resources of a listener',
      }),
    ]
  }
  return clients.flatMap((listener) => {
    const { address, tls, xForwarded } = listener
    if (tls || 'path' in address || address.bindAddresses.every((bound) => LOOPBACK.test(bound))) return []
    const where = `listener ${listener.tag}`
    return [
      xForwarded
        ? info(`${where} takes requests without TLS from other machines, and believes X-Forwarded-For`, {
            consequence: 'whoever reaches it directly can make up their address',
            cure: 'bind_addresses: [127.0.0.1], or a firewall that lets only the reverse proxy through',
          })
        : info(`${where} takes requests without TLS from other machines`, {
            consequence: 'passwords and messages can be read on the way',
            cure: 'bind_addresses: [127.0.0.1] and a reverse proxy with TLS, or tls: true',
          }),
    ]
  })
}

function ofAddress({ server }: HomeserverConfig): Finding[] {
  const url = new URL(server.publicBaseUrl)
  if (url.protocol === 'https:' || url.hostname === 'localhost') return []
  return [
    warning(`public_baseurl is ${url.href}, without TLS`, {
      consequence: 'clients refuse it, or send passwords that can be read on the way',
      cure: `public_baseurl: https://${url.host}/`,
    }),
  ]
}
