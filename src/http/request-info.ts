import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import type { Readable } from 'node:stream'
import type { RequestInfo } from './route.js'

export interface HttpExchange {
  readonly req: IncomingMessage
  readonly res: ServerResponse
}

/** A request as handlers see it. What few of them ask for is made when they do. */
export class IncomingRequest implements RequestInfo {
  readonly method: string
  readonly url: string
  readonly requestId: string
  readonly ip: string
  readonly #exchange: HttpExchange
  readonly #stopping: AbortSignal
  /** Set for what is finished though the client may be gone. */
  outlivesClient = false
  rawBody: string | undefined
  #signal: AbortSignal | undefined

  constructor(
    exchange: HttpExchange,
    options: { requestId: string; trustsForwardedFor: boolean; stopping: AbortSignal },
  ) {
    this.method = exchange.req.method ?? 'GET'
    this.url = exchange.req.url ?? '/'
    this.requestId = options.requestId
    this.ip = addressOf(exchange.req, options.trustsForwardedFor)
    this.#exchange = exchange
    this.#stopping = options.stopping
  }

  get userAgent(): string | undefined {
    return this.#exchange.req.headers['user-agent']
  }

  get headers(): RequestInfo['headers'] {
    return this.#exchange.req.headers
  }

  get stream(): Readable {
    return this.#exchange.req
  }

  get signal(): AbortSignal {
    this.#signal ??= this.outlivesClient ? this.#stopping : this.#clientSignal()
    return this.#signal
  }

  #clientSignal(): AbortSignal {
    const { res } = this.#exchange
    const controller = new AbortController()
    const abort = (): void => {
      this.#stopping.removeEventListener('abort', abort)
      controller.abort()
    }
    // Comes after every answer too, when nobody waits any more.
    res.once('close', abort)
    this.#stopping.addEventListener('abort', abort, { once: true })
    if (res.destroyed || this.#stopping.aborted) abort()
    return controller.signal
  }
}

const MAPPED_IPV4 = /^::ffff:(?=\d+\.)/i

/** The client's address, as the proxy in front says where it is trusted; empty for a local socket without a proxy. */
function addressOf(req: IncomingMessage, trustsForwardedFor: boolean): string {
  const peer = (req.socket.remoteAddress ?? '').replace(MAPPED_IPV4, '')
  if (!trustsForwardedFor) return peer
  const header = req.headers['x-forwarded-for']
  const list = typeof header === 'object' ? header.join(',') : (header ?? '')
  const first = list.split(',', 1)[0]?.trim() ?? ''
  return isIP(first) === 0 ? peer : first.replace(MAPPED_IPV4, '')
}
