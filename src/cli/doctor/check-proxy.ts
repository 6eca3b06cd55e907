import { isIP } from 'node:net'
import { probeUpload } from '../../net/clients/upload-probe.js'
import { HttpFailure, type HttpReply } from '../../net/http-client.js'
import { isJsonObject, type JsonValue } from '../../util/json.js'
import { randomToken } from '../../util/random.js'
import { withRunningServer } from '../control-client.js'
import { formatBytes } from '../format-bytes.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, info, ok, warning, type Finding } from './finding.js'
import { askPublicly, jsonOf, publicAddress } from './public-address.js'

const GRACE_MS = 1_000
/** Of a range that nobody has: https://www.rfc-editor.org/rfc/rfc5737 */
const MADE_UP_ADDRESS = '192.0.2.77'
const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/

/** What becomes of requests on the way from `public_baseurl` to the server. */
export const checkProxy: DoctorCheck = {
  name: 'proxy',
  summary: 'what a reverse proxy does to requests: paths, bodies, addresses, CORS',
  usesNetwork: true,
  async run(context) {
    const { publicBaseUrl } = context.config.server
    const reply = await askPublicly(context, '/_matrix/client/versions')
    const versions = typeof reply === 'string' ? undefined : jsonOf(reply)?.['versions']
    if (typeof reply === 'string' || !Array.isArray(versions)) {
      const seen = typeof reply === 'string' ? reply : `no homeserver answers (status ${reply.status})`
      return [
        failure(`${publicBaseUrl}: ${seen}`, {
          consequence: 'no client can use the server',
          cure: 'let the reverse proxy pass /_matrix on to the listener, or set public_baseurl to where it is',
        }),
      ]
    }
    const findings = await Promise.all([tryPath(context), tryBody(context), tryAddress(context)])
    return [ok(`${publicBaseUrl} leads to a homeserver`), ...ofHeaders(reply), ...findings.flat()]
  },
}

function ofHeaders({ headers }: HttpReply): Finding[] {
  const origin = headers['access-control-allow-origin']
  if (origin === '*') return []
  const seen =
    origin === undefined ? 'no Access-Control-Allow-Origin' : `Access-Control-Allow-Origin: ${String(origin)}`
  return [
    failure(`answers come with ${seen}`, {
      consequence: 'clients in browsers cannot use the server',
      cure: 'let the proxy neither add nor remove Access-Control headers: the server sends its own',
    }),
  ]
}

/** An alias with a slash: a proxy that decodes it makes another path of it. */
async function tryPath(context: DoctorContext): Promise<Finding[]> {
  const alias = encodeURIComponent(`#mxhs/doctor:${context.config.server.serverName}`)
  const reply = await askPublicly(context, `/_matrix/client/v3/directory/room/${alias}`)
  if (typeof reply === 'string') return []
  const errcode = jsonOf(reply)?.['errcode']
  if (errcode === 'M_NOT_FOUND' || reply.status === 200) return [ok('encoded slashes in paths are kept')]
  return [
    failure(
      `a path with %2F in it arrives as another one (status ${reply.status}, ${typeof errcode === 'string' ? errcode : 'no errcode'})`,
      {
        consequence: 'some rooms, events and users cannot be reached',
        cure: 'nginx: proxy_pass http://127.0.0.1:8008; without a path; Apache: AllowEncodedSlashes NoDecode and nocanon',
      },
    ),
  ]
}

/** The server refuses the upload without looking at it, for want of a token: what is seen is what the proxy does. */
async function tryBody({ config, tls, clock }: DoctorContext): Promise<Finding[]> {
  const length = config.media.maxUploadSize
  const shown = formatBytes(length)
  const url = `${config.server.publicBaseUrl.replace(/\/$/, '')}/_matrix/media/v3/upload`
  try {
    const { status, text } = await probeUpload({ url, length, tls, clock })
    if (status === 401 && text.includes('M_')) return [ok(`bodies of ${shown} pass`)]
    // The proxy has sent on what it has got, and finds that the server does not want to hear it.
    if (status === 502) return [ok(`bodies of ${shown} pass the proxy`)]
    return [tooLarge(`a body of ${shown} is answered with status ${status}`, length)]
  } catch (error) {
    if (!(error instanceof HttpFailure)) throw error
    return [
      info(`whether a body of ${shown} passes cannot be told: ${error.message}`, {
        cure: 'upload a large file with a client',
      }),
    ]
  }
}

function tooLarge(summary: string, size: number): Finding {
  const megabytes = Math.ceil(size / 1024 / 1024)
  return failure(summary, {
    consequence: 'large files cannot be uploaded, though max_upload_size allows them',
    cure: `nginx: client_max_body_size ${megabytes}M; Apache: LimitRequestBody 0`,
  })
}

/** Sends an address that is made up, and asks the running server which one it has seen. */
async function tryAddress(context: DoctorContext): Promise<Finding[]> {
  const { config, clock } = context
  if (isDirect(config)) return [ok('clients reach the server without a proxy')]
  const mark = `doctor${randomToken()}`
  const seen = await withRunningServer(config, async (client) => {
    const watching = client.call('requests.watch', { mark }).catch((): JsonValue => null)
    await askPublicly(context, `/_matrix/client/versions?mark=${mark}`, {
      'X-Forwarded-For': MADE_UP_ADDRESS,
    })
    // What the server has answered, it has seen before.
    const timer = clock.setTimeout(() => client.close(), GRACE_MS)
    try {
      return await watching
    } finally {
      timer.cancel()
    }
  })
  if (seen === undefined)
    return [info('the server does not run here: whether X-Forwarded-For arrives is not known')]
  const ip = isJsonObject(seen) ? seen['ip'] : undefined
  if (typeof ip !== 'string' || isIP(ip) === 0) {
    return [
      warning(`${config.server.publicBaseUrl} does not lead to the server that runs here`, {
        consequence: 'clients use another server than this one',
        cure: 'let the reverse proxy pass /_matrix on to the listener of this server',
      }),
    ]
  }
  return [ofAddress(ip, config)]
}

/** `public_baseurl` names the port of a listener. */
function isDirect(config: DoctorContext['config']): boolean {
  const { port, tls } = publicAddress(config)
  return config.listeners.list.some(
    (listener) => 'port' in listener.address && listener.address.port === port && listener.tls === tls,
  )
}

function ofAddress(ip: string, { listeners }: DoctorContext['config']): Finding {
  const details = { ip }
  if (ip === MADE_UP_ADDRESS) {
    return warning('clients can choose the address that the server sees', {
      consequence: 'limits of attempts to log in do not hold, and logs name the wrong ones',
      cure: 'nginx: proxy_set_header X-Forwarded-For $remote_addr; (not $proxy_add_x_forwarded_for)',
      details,
    })
  }
  const trusts = listeners.list.some(({ xForwarded }) => xForwarded)
  if (!LOOPBACK.test(ip)) return ok(`the server sees the addresses of clients (this one as ${ip})`, details)
  const summary = `the server sees this request as coming from ${ip}`
  if (!trusts) {
    return warning(summary, {
      consequence: 'behind a proxy, all people share one address: one who fails to log in locks out all',
      cure: 'x_forwarded: true at the listener that the proxy talks to',
      details,
    })
  }
  return info(`${summary}: that is right if public_baseurl leads here directly`, {
    cure: 'if not, nginx: proxy_set_header X-Forwarded-For $remote_addr;',
    details,
  })
}
