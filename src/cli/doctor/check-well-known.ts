import type { HttpReply } from '../../net/http-client.js'
import { isJsonObject } from '../../util/json.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, info, ok, warning, type Finding } from './finding.js'
import { get, jsonOf } from './public-address.js'

/** What clients find when they are given the server's name alone. What other servers find: `federation`. */
export const checkWellKnown: DoctorCheck = {
  name: 'well-known',
  summary: 'what clients find at /.well-known/matrix/client',
  usesNetwork: true,
  async run(context) {
    const { serverName, publicBaseUrl } = context.config.server
    const [host = ''] = serverName.split(/:\d+$/)
    const url = `https://${host}/.well-known/matrix/client`
    const reply = await get(context.http, url)
    const cure = cureFor(context, url)
    if (typeof reply === 'string') return [notFound(`${url}: ${reply}`, cure)]
    if (reply.status !== 200) return [notFound(`${url} answers with status ${reply.status}`, cure)]
    return [...ofContent(reply, { url, publicBaseUrl, cure }), ...ofHeaders(reply, url)]
  },
}

function notFound(summary: string, cure: string): Finding {
  return warning(summary, {
    consequence: 'people have to type the address of the server, not its name',
    cure,
  })
}

function cureFor({ config }: DoctorContext, url: string): string {
  const { servesClientWellKnown, publicBaseUrl } = config.server
  const json = `{"m.homeserver": {"base_url": "${publicBaseUrl}"}}`
  return servesClientWellKnown
    ? `pass ${url} on to this server, or serve ${json} there`
    : `set public_baseurl and pass ${url} on to this server, or serve ${json} there`
}

function ofContent(
  reply: HttpReply,
  { url, publicBaseUrl, cure }: { url: string; publicBaseUrl: string; cure: string },
): Finding[] {
  const content = jsonOf(reply)
  const homeserver = content?.['m.homeserver']
  const baseUrl = isJsonObject(homeserver) ? homeserver['base_url'] : undefined
  if (typeof baseUrl !== 'string') {
    return [
      failure(`${url} holds no m.homeserver with a base_url`, {
        consequence: 'clients give up: they take it for a broken server',
        cure,
      }),
    ]
  }
  if (baseUrl.replace(/\/$/, '') === publicBaseUrl.replace(/\/$/, ''))
    return [ok(`${url} leads to ${baseUrl}`)]
  return [
    warning(`${url} leads to ${baseUrl}, and public_baseurl is ${publicBaseUrl}`, {
      consequence: 'clients go there, while links in mails lead elsewhere',
      cure: 'let both say the same',
    }),
  ]
}

function ofHeaders({ headers }: HttpReply, url: string): Finding[] {
  const findings: Finding[] = []
  if (headers['access-control-allow-origin'] !== '*') {
    findings.push(
      failure(`${url} comes without Access-Control-Allow-Origin: *`, {
        consequence: 'clients in browsers cannot read it',
        cure: `nginx: add_header Access-Control-Allow-Origin *;`,
      }),
    )
  }
  const type = headers['content-type']
  if (typeof type !== 'string' || !type.includes('json')) {
    findings.push(info(`${url} comes as ${String(type)}, not as application/json`))
  }
  return findings
}
