import type { Agent } from 'undici'
import type { Clock } from '../util/clock.js'
import { Dialer, type DialerOptions } from './dialer.js'
import {
  exchange,
  exchangeStream,
  type HttpExchangeRequest,
  type HttpLimits,
  type HttpMethod,
  type HttpReply,
  type HttpStreamReply,
} from './http-exchange.js'
import { HttpFailure } from './http-failure.js'

export type { HttpHeaders, HttpMethod, HttpReply, HttpStreamReply } from './http-exchange.js'
export { HttpFailure, type HttpFailureKind } from './http-failure.js'

export interface HttpRequest {
  readonly method: HttpMethod
  /** Of `http:` or `https:`. */
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  /** From the beginning to the last byte of the answer, for each step of redirects; 60 seconds by default. */
  readonly timeoutMs?: number
  /** Of the body; 1 MiB by default. */
  readonly maxBytes?: number
  /** How many redirects are followed, by GET; none by default. */
  readonly maxRedirects?: number
  readonly signal?: AbortSignal
}

export interface HttpClientOptions extends DialerOptions {
  readonly clock: Pick<Clock, 'setTimeout'>
  /** What the server says it is. */
  readonly userAgent: string
}

const DEFAULT_TIMEOUT_MS = 60_000
const DEFAULT_MAX_BYTES = 1024 * 1024
const KEEP_ALIVE_MS = 20_000
/** To one host at a time. */
const MAX_CONNECTIONS = 20
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/**
 * HTTP requests to anybody: bounded in time and size, and never to addresses that the configuration denies. Answers of
 * every status are answers; rejects with a `HttpFailure` where there is none.
 */
export class HttpClient {
  readonly #options: HttpClientOptions
  /** Made when the first request is, since many servers ask nobody for long. */
  #agent: Promise<Agent> | undefined
  #isClosed = false

  constructor(options: HttpClientOptions) {
    this.#options = options
  }

  /** The whole answer. */
  request(request: HttpRequest): Promise<HttpReply> {
    return this.#follow(request, async (step) =>
      exchange(await this.#openAgent(), step, this.#limitsOf(request)),
    )
  }

  /** The answer's head; its body as it comes, within the same limits of time and size. */
  requestStream(request: HttpRequest): Promise<HttpStreamReply> {
    return this.#follow(request, async (step) =>
      exchangeStream(await this.#openAgent(), step, this.#limitsOf(request)),
    )
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    this.#isClosed = true
    await (await this.#agent)?.destroy()
  }

  #openAgent(): Promise<Agent> {
    if (this.#isClosed) throw new HttpFailure('aborted', 'the server is stopping')
    this.#agent ??= createAgent(this.#options)
    return this.#agent
  }

  async #follow<Reply extends HttpReply | HttpStreamReply>(
    request: HttpRequest,
    send: (step: HttpExchangeRequest) => Promise<Reply>,
  ): Promise<Reply> {
    let url = parseUrl(request.url)
    let step = this.#firstStep(request, url)
    for (let redirects = 0; ; redirects++) {
      const reply = await send(step)
      const location = reply.headers['location']
      const maxRedirects = request.maxRedirects ?? 0
      if (!REDIRECTS.has(reply.status) || typeof location !== 'string' || maxRedirects === 0) return reply
      if ('destroy' in reply.body) reply.body.destroy()
      if (redirects === maxRedirects) {
        throw new HttpFailure('malformed', `there are more than ${maxRedirects} redirects`)
      }
      const next = parseUrl(location, url)
      step = nextStep(step, url, next)
      url = next
    }
  }

  #firstStep({ method, headers, body }: HttpRequest, url: URL): HttpExchangeRequest {
    return {
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      headers: { 'User-Agent': this.#options.userAgent, ...headers },
      body,
    }
  }

  #limitsOf({ timeoutMs, maxBytes, signal }: HttpRequest): HttpLimits {
    return {
      clock: this.#options.clock,
      timeoutMs: timeoutMs ?? DEFAULT_TIMEOUT_MS,
      maxBytes: maxBytes ?? DEFAULT_MAX_BYTES,
      signal,
    }
  }
}

async function createAgent(options: HttpClientOptions): Promise<Agent> {
  const { Agent } = await import('undici')
  const dialer = new Dialer(options)
  return new Agent({
    connections: MAX_CONNECTIONS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: ({ hostname, port, protocol }, callback) => {
      const isTls = protocol === 'https:'
      const host = hostname.replace(/^\[|\]$/g, '')
      const defaultPort = isTls ? 443 : 80
      dialer.dial(
        { host, port: port === '' ? defaultPort : Number(port), tlsName: isTls ? host : undefined },
        callback,
      )
    },
  })
}

function parseUrl(text: string, base?: URL): URL {
  if (!URL.canParse(text, base?.href)) throw new HttpFailure('malformed', `not a URL: ${text.slice(0, 200)}`)
  const url = new URL(text, base)
  if (url.protocol === 'http:' || url.protocol === 'https:') return url
  throw new HttpFailure('malformed', `not a URL of http or https: ${text.slice(0, 200)}`)
}

const NOT_FOR_OTHERS = /^(?:authorization|cookie|host)$/i

/** Where a redirect leads; what is secret stays with the host that it was meant for. */
function nextStep(step: HttpExchangeRequest, from: URL, to: URL): HttpExchangeRequest {
  const headers = Object.entries(step.headers).filter(
    ([name]) => to.origin === from.origin || !NOT_FOR_OTHERS.test(name),
  )
  return {
    origin: to.origin,
    path: `${to.pathname}${to.search}`,
    method: step.method === 'HEAD' ? 'HEAD' : 'GET',
    headers: Object.fromEntries(headers),
  }
}
