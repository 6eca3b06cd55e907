import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { BlockList, isIP, type Socket } from 'node:net'

/** The proxy for a target, or undefined where it is reached directly. */
export type ProxyChooser = (target: { readonly host: string; readonly isTls: boolean }) => URL | undefined

export interface ProxySettings {
  /** For plain requests, as are the others a URL of `http:` or `https:`. */
  readonly httpProxy: URL | undefined
  readonly httpsProxy: URL | undefined
  /** Hosts that are reached directly: names, which stand for their subdomains too, addresses, ranges, `*`. */
  readonly directHosts: readonly string[]
}

/** Undefined where there is no proxy at all. */
export function createProxyChooser(settings: ProxySettings): ProxyChooser | undefined {
  const { httpProxy, httpsProxy, directHosts } = settings
  if (httpProxy === undefined && httpsProxy === undefined) return undefined
  const isDirect = directMatcher(directHosts)
  return ({ host, isTls }) => (isDirect(host) ? undefined : isTls ? httpsProxy : httpProxy)
}

function directMatcher(hosts: readonly string[]): (host: string) => boolean {
  const ranges = new BlockList()
  const names: string[] = []
  for (const entry of hosts) {
    const [address = '', bits] = entry.split('/')
    const family = isIP(address)
    if (family === 0) names.push(entry.toLowerCase().replace(/^\*?\./, ''))
    else {
      const type = family === 4 ? 'ipv4' : 'ipv6'
      ranges.addSubnet(address, bits === undefined ? (family === 4 ? 32 : 128) : Number(bits), type)
    }
  }
  return (host) => {
    const family = isIP(host)
    if (family !== 0) return ranges.check(host, family === 4 ? 'ipv4' : 'ipv6') || names.includes('*')
    const name = host.toLowerCase()
    return names.some((entry) => entry === '*' || name === entry || name.endsWith(`.${entry}`))
  }
}

/**
 * A connection through a proxy, by `CONNECT`. The proxy is the operator's own and may be anywhere. Rejects when it
 * cannot be reached or refuses.
 */
export async function openTunnel(
  proxy: URL,
  target: { readonly host: string; readonly port: number },
  timeoutMs: number,
): Promise<Socket> {
  const authority = `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`
  const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`
  const send = proxy.protocol === 'https:' ? httpsRequest : httpRequest
  const request = send({
    host: proxy.hostname.replace(/^\[|\]$/g, ''),
    port: proxy.port === '' ? (proxy.protocol === 'https:' ? 443 : 80) : Number(proxy.port),
    method: 'CONNECT',
    path: authority,
    headers: {
      Host: authority,
      ...(proxy.username === ''
        ? {}
        : { 'Proxy-Authorization': `Basic ${Buffer.from(credentials).toString('base64')}` }),
    },
    timeout: timeoutMs,
  })
  request.once('timeout', () => request.destroy(new Error('the proxy does not answer')))
  request.end()
  const [response, socket] = (await once(request, 'connect')) as [IncomingMessage, Socket]
  if (response.statusCode === 200) return socket
  socket.destroy()
  throw new Error(`the proxy refuses with status ${response.statusCode ?? 0}`)
}
