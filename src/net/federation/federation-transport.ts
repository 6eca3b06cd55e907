import { LRUCache } from 'lru-cache'
import type { Pool } from 'undici'
import type { ServerName } from '../../protocol/ids.js'
import type { Clock } from '../../util/clock.js'
import { unlessAborted } from '../../util/unless-aborted.js'
import { Dialer, type DialerOptions } from '../dialer.js'
import {
  exchange,
  exchangeStream,
  type HttpExchangeRequest,
  type HttpLimits,
  type HttpReply,
  type HttpStreamReply,
} from '../http-exchange.js'
import { HttpFailure, toHttpFailure } from '../http-failure.js'
import type { ServerResolver, ServerTarget } from './server-resolver.js'

/** One request to another server. */
export interface TransportRequest {
  readonly serverName: ServerName
  readonly method: 'GET' | 'PUT' | 'POST'
  /** From `/_matrix`, encoded, with the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  readonly timeoutMs: number
  readonly maxBytes: number
  readonly signal?: AbortSignal | undefined
}

export interface FederationTransportOptions extends DialerOptions {
  readonly resolver: ServerResolver
  readonly clock: Pick<Clock, 'setTimeout'>
  readonly userAgent: string
}

/** Pools of connections that are kept for the next request. */
const MAX_POOLS = 500
/** To one server at a time: a slow download must not hold up what is sent. */
const MAX_CONNECTIONS = 10
const KEEP_ALIVE_MS = 20_000

/**
 * HTTPS to other servers, wherever their names lead. Follows no redirects; every answer that came whole is an answer.
 * Rejects with a `HttpFailure` when none of the places where the server should be gives one.
 */
export class FederationTransport {
  readonly #options: FederationTransportOptions
  readonly #dialer: Dialer
  readonly #pools: LRUCache<string, Pool>
  #isClosed = false

  constructor(options: FederationTransportOptions) {
    this.#options = options
    this.#dialer = new Dialer(options)
    this.#pools = new LRUCache<string, Pool>({
      max: MAX_POOLS,
      // What runs may end.
      dispose: (pool) => void pool.close().catch(() => undefined),
    })
  }

  /** The whole answer. */
  request(request: TransportRequest): Promise<HttpReply> {
    return this.#send(request, exchange)
  }

  /** The head of the answer; its body as it comes. */
  requestStream(request: TransportRequest): Promise<HttpStreamReply> {
    return this.#send(request, exchangeStream)
  }

  /** Ends all connections. Nothing can be sent any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    const pools = [...this.#pools.values()]
    await Promise.all(pools.map((pool) => pool.destroy()))
    this.#pools.clear()
  }

  async #send<Reply>(
    request: TransportRequest,
    send: (pool: Pool, request: HttpExchangeRequest, limits: HttpLimits) => Promise<Reply>,
  ): Promise<Reply> {
    if (this.#isClosed) throw new HttpFailure('aborted', 'the server is stopping')
    const { serverName, signal } = request
    const abortion = (): HttpFailure => new HttpFailure('aborted', 'the request was given up')
    // Not before it is needed: many servers talk to no others for long.
    const prepared = Promise.all([this.#options.resolver.resolve(serverName), import('undici')])
    const [{ targets }, { Pool }] = await unlessAborted(signal, abortion, prepared)
    let failure = new HttpFailure('unreachable', 'its SRV record says that there is no such service')
    for (const target of targets) {
      if (signal?.aborted) throw abortion()
      const attempt = (): Promise<Reply> =>
        send(this.#poolOf(target, Pool), this.#toExchange(request, target), this.#limitsOf(request))
      try {
        return await attempt().catch((error: unknown) => {
          // The other side may have closed a connection that was kept, just before it was used.
          if (!isBroken(toHttpFailure(error)) || request.method === 'POST') throw error
          return attempt()
        })
      } catch (error) {
        failure = toHttpFailure(error)
        if (!mayTryNext(failure)) throw failure
      }
    }
    throw failure
  }

  #poolOf(target: ServerTarget, PoolOfConnections: typeof Pool): Pool {
    const key = `${target.tlsName} ${target.host} ${target.port}`
    const known = this.#pools.get(key)
    if (known !== undefined) return known
    const pool = new PoolOfConnections(originOf(target), {
      connections: MAX_CONNECTIONS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connect: (_options, callback) => this.#dialer.dial(target, callback),
    })
    this.#pools.set(key, pool)
    return pool
  }

  #toExchange(request: TransportRequest, target: ServerTarget): HttpExchangeRequest {
    return {
      origin: originOf(target),
      path: request.path,
      method: request.method,
      headers: { Host: target.hostHeader, 'User-Agent': this.#options.userAgent, ...request.headers },
      body: request.body,
    }
  }

  #limitsOf({ timeoutMs, maxBytes, signal }: TransportRequest): HttpLimits {
    return { clock: this.#options.clock, timeoutMs, maxBytes, signal }
  }
}

/** Of the pool; where it leads is the dialler's business. */
function originOf({ tlsName, port }: ServerTarget): string {
  return `https://${tlsName.includes(':') ? `[${tlsName}]` : tlsName}:${port}`
}

/** Before anything was sent: then another place may do. */
function mayTryNext(failure: HttpFailure): boolean {
  const { kind } = failure
  return kind === 'denied' || kind === 'certificate' || (kind === 'unreachable' && !isBroken(failure))
}

const BROKEN: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])

/** A connection that was there has ended before the answer did. */
function isBroken({ kind, code }: HttpFailure): boolean {
  return kind === 'unreachable' && BROKEN.has(code ?? '')
}
