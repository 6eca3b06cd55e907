import { isUtf8 } from 'node:buffer'
import type { Readable } from 'node:stream'
import type { FederationTransport, TransportRequest } from '../../net/federation/federation-transport.js'
import { HttpFailure, type HttpHeaders, type HttpReply } from '../../net/http-client.js'
import type { ServerName } from '../../protocol/ids.js'
import type { Logger } from '../../telemetry/logger.js'
import type { JsonSigner } from '../../protocol/signed-json.js'
import { formatXMatrix, requestText } from '../../protocol/x-matrix.js'
import type { Clock, Timer } from '../../util/clock.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { measureJson } from '../../util/json-measure.js'
import type { Destinations } from './destinations.js'
import { FederationError } from './federation-error.js'

export { FederationError, type FederationErrorKind } from './federation-error.js'

/** A request to another server. */
export interface FederationRequest {
  readonly destination: ServerName
  readonly method: 'GET' | 'PUT' | 'POST'
  /** From `/_matrix`, its segments encoded. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: JsonObject
  /** From the beginning to the last byte of the answer; `federation.client_timeout` by default. */
  readonly timeoutMs?: number
  /** Of the answer's body; 32 MiB by default. */
  readonly maxBytes?: number
  /** Asks though the server has failed lately: where somebody waits for this very server. */
  readonly ignoreBackoff?: boolean
  /** A failure is not held against the server: anybody may have named it, whether it exists or not. */
  readonly forgetsFailure?: boolean
  readonly signal?: AbortSignal
}

/** A whole answer. */
export interface FederationAnswer {
  readonly json: JsonObject
  /** As it came, for those who must see how numbers are written. */
  readonly text: string
}

/** An answer that is no JSON: media. */
export interface FederationStreamAnswer {
  readonly status: number
  readonly headers: HttpHeaders
  /** Fails with a `HttpFailure` beyond the limits. Whoever does not read it to its end destroys it. */
  readonly body: Readable
}

export interface FederationClientDependencies {
  readonly serverName: ServerName
  readonly signer: JsonSigner
  readonly transport: Pick<FederationTransport, 'request' | 'requestStream'>
  readonly destinations: Pick<Destinations, 'markAlive' | 'markFailed' | 'retryAtTs'>
  readonly clock: Pick<Clock, 'now' | 'setTimeout'>
  /** `federation_domain_whitelist`; undefined: everybody. */
  readonly allowedDomains: ReadonlySet<string> | undefined
  /** `federation_whitelist_endpoint_enabled` */
  readonly servesWhitelist: boolean
  readonly requestTimeoutMs: number
  readonly logger: Logger
}

const DEFAULT_MAX_BYTES = 32 * 1024 * 1024
const MAX_ERROR_BYTES = 64 * 1024
const MAX_JSON_DEPTH = 250
/** Events have a value or name in twenty bytes, so that no honest answer of the greatest length has more of them. */
const BYTES_PER_PART = 12
/** What small answers may have whatever their limit. */
const MIN_MAX_PARTS = 250_000

/**
 * Asks other servers: signs, keeps to the configuration's list of servers and to their times of rest, and trusts no
 * answer. https://spec.matrix.org/latest/server-server-api/#request-authentication
 */
export class FederationClient {
  readonly #deps: FederationClientDependencies
  /** What is being asked. */
  readonly #running = new Set<AbortController>()
  #isStopping = false

  constructor(deps: FederationClientDependencies) {
    this.#deps = deps
  }

  /** Nobody is asked any more, because this server stops: what failed since may have failed for that alone. */
  get isStopping(): boolean {
    return this.#isStopping
  }

  /**
   * Lets what is being asked have so much time, in milliseconds; then all of it fails, and whatever is asked later. Whoever
   * needs that no more cancels it.
   */
  stop(graceMs: number): Timer {
    return this.#deps.clock.setTimeout(() => {
      this.#isStopping = true
      for (const running of this.#running) running.abort()
    }, graceMs)
  }

  /** Whether the configuration lets this server talk to another. */
  mayTalkTo(serverName: ServerName): boolean {
    return this.#deps.allowedDomains?.has(serverName) ?? true
  }

  /**
   * `federation_domain_whitelist` as clients are told of it; undefined where the operator does not want them to be. Without
   * the list, everybody is allowed.
   */
  publishedDomains(): JsonObject | undefined {
    const { allowedDomains, servesWhitelist } = this.#deps
    if (!servesWhitelist) return undefined
    const whitelist = allowedDomains === undefined ? {} : { whitelist: [...allowedDomains] }
    return { whitelist_enabled: allowedDomains !== undefined, ...whitelist }
  }

  /** The JSON object that a server answers with status 2xx. Rejects with a `FederationError`. */
  async request(request: FederationRequest): Promise<JsonObject> {
    return (await this.requestWithText(request)).json
  }

  /** As `request`, with the text that the object was read from. */
  async requestWithText(request: FederationRequest): Promise<FederationAnswer> {
    const startedTs = await this.#begin(request)
    const { signal, end } = this.#enter(request)
    let reply: HttpReply
    try {
      reply = await this.#deps.transport.request(this.#toTransport(request, signal))
    } catch (error) {
      throw await this.#failed(request, startedTs, error)
    } finally {
      end()
    }
    const answer = parseObject(reply.body, request.maxBytes)
    if (reply.status < 200 || reply.status > 299) {
      throw await this.#refused(request, startedTs, { ...reply, json: answer?.json })
    }
    this.#deps.destinations.markAlive(request.destination)
    if (answer !== undefined) return answer
    const { destination, path } = request
    this.#deps.logger.info({ destination, path }, 'Another server answered with something else than JSON')
    throw new FederationError(destination, 'malformed', 'the answer is no JSON object', {
      status: reply.status,
    })
  }

  /** An answer of status 2xx or a redirect, whose body comes as it comes. Rejects with a `FederationError`. */
  async requestStream(request: FederationRequest): Promise<FederationStreamAnswer> {
    const startedTs = await this.#begin(request)
    const { signal, end } = this.#enter(request)
    let reply: FederationStreamAnswer
    try {
      reply = await this.#deps.transport.requestStream(this.#toTransport(request, signal))
      reply.body.once('close', end)
    } catch (error) {
      end()
      throw await this.#failed(request, startedTs, error)
    }
    if (reply.status < 400) {
      this.#deps.destinations.markAlive(request.destination)
      return reply
    }
    const json = await readError(reply.body)
    throw await this.#refused(request, startedTs, { ...reply, json })
  }

  /** A signal for a request that aborts with the request's own and with the server's end; `end`: it is over. */
  #enter({ signal: own }: FederationRequest): { readonly signal: AbortSignal; readonly end: () => void } {
    const running = new AbortController()
    const abort = (): void => running.abort()
    if (own?.aborted === true || this.#isStopping) abort()
    own?.addEventListener('abort', abort, { once: true })
    this.#running.add(running)
    const end = (): void => {
      own?.removeEventListener('abort', abort)
      this.#running.delete(running)
    }
    return { signal: running.signal, end }
  }

  /** Throws where the server must not be asked, or not now. */
  async #begin({ destination, ignoreBackoff }: FederationRequest): Promise<number> {
    const { serverName, destinations, clock } = this.#deps
    if (destination === serverName) {
      throw new FederationError(destination, 'denied', 'a server does not ask itself')
    }
    if (!this.mayTalkTo(destination)) {
      throw new FederationError(destination, 'denied', 'it is not in federation_domain_whitelist')
    }
    const now = clock.now()
    if (ignoreBackoff === true) return now
    const retryAtTs = await destinations.retryAtTs(destination)
    if (retryAtTs > now) {
      const until = new Date(retryAtTs).toISOString()
      throw new FederationError(destination, 'backoff', `it has failed and is left alone until ${until}`)
    }
    return clock.now()
  }

  #toTransport(request: FederationRequest, signal: AbortSignal): TransportRequest {
    const { serverName: origin, signer, requestTimeoutMs } = this.#deps
    const { destination, method, path, body, timeoutMs, maxBytes } = request
    const uri = `${path}${formatQuery(request.query)}`
    const signature = signer.sign(requestText({ method, uri, origin, destination, content: body }))
    return {
      serverName: destination,
      method,
      path: uri,
      headers: {
        Authorization: formatXMatrix({ origin, destination, keyId: signer.keyId, signature }),
        Accept: '*/*',
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      timeoutMs: timeoutMs ?? requestTimeoutMs,
      maxBytes: maxBytes ?? DEFAULT_MAX_BYTES,
      signal,
    }
  }

  /** No answer came. */
  async #failed(
    { destination, path, forgetsFailure }: FederationRequest,
    startedTs: number,
    error: unknown,
  ): Promise<FederationError> {
    if (!(error instanceof HttpFailure)) throw error
    const { kind, message } = error
    this.#deps.logger.info({ destination, path, reason: message }, 'Another server gave no answer')
    if (kind === 'aborted') return new FederationError(destination, 'unreachable', message, { cause: error })
    if (kind === 'denied') return new FederationError(destination, 'denied', message, { cause: error })
    if (kind === 'tooLarge' || kind === 'malformed') {
      return new FederationError(destination, 'malformed', message, { cause: error })
    }
    if (forgetsFailure !== true) {
      await this.#deps.destinations.markFailed(destination, { startedTs, error: message })
    }
    return new FederationError(destination, 'unreachable', message, { cause: error })
  }

  /** An answer that says no. */
  async #refused(
    { destination, method, path, forgetsFailure }: FederationRequest,
    startedTs: number,
    { status, headers, json }: Pick<HttpReply, 'status' | 'headers'> & { json: JsonObject | undefined },
  ): Promise<FederationError> {
    const errcode = typeof json?.['errcode'] === 'string' ? json['errcode'] : undefined
    const said = typeof json?.['error'] === 'string' ? `: ${json['error']}` : ''
    const message = `it answers with ${errcode ?? `status ${status}`}${said.slice(0, 500)}`
    this.#deps.logger.info({ destination, path, status, errcode }, 'Another server refused a request')
    const isFailing = countsAsFailure(method, status, errcode)
    if (isFailing && forgetsFailure !== true) {
      const retryAfterMs = status === 429 || status === 503 ? retryAfterOf(headers, json) : undefined
      await this.#deps.destinations.markFailed(destination, { startedTs, error: message, retryAfterMs })
    } else if (!isFailing) this.#deps.destinations.markAlive(destination)
    return new FederationError(destination, 'refused', message, {
      status,
      ...(errcode === undefined ? {} : { errcode }),
      ...(json === undefined ? {} : { body: json }),
    })
  }
}

/** A server that says what is wrong with a question is there; one that says so of what is sent may be overloaded. */
function countsAsFailure(
  method: FederationRequest['method'],
  status: number,
  errcode: string | undefined,
): boolean {
  const isOutage = status >= 500 && (errcode === undefined || method === 'PUT')
  return isOutage || status === 401 || status === 429
}

function formatQuery(query: FederationRequest['query']): string {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : value).map(
      (each) => `${encodeURIComponent(name)}=${encodeURIComponent(each)}`,
    ),
  )
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

/** Whatever type it is said to be. What it takes in memory is bounded like the answer itself. */
function parseObject(bytes: Buffer, maxBytes = DEFAULT_MAX_BYTES): FederationAnswer | undefined {
  if (!isUtf8(bytes)) return undefined
  const text = bytes.toString('utf8')
  const { depth, parts } = measureJson(text)
  if (depth > MAX_JSON_DEPTH || parts > Math.max(MIN_MAX_PARTS, maxBytes / BYTES_PER_PART)) return undefined
  try {
    const parsed: unknown = JSON.parse(text)
    // The first forms of some endpoints answer with a list of the status and the object.
    const json: unknown =
      Array.isArray(parsed) && parsed.length === 2 && typeof parsed[0] === 'number' ? parsed[1] : parsed
    return isJsonObject(json) ? { json, text } : undefined
  } catch {
    return undefined
  }
}

async function readError(body: Readable): Promise<JsonObject | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > MAX_ERROR_BYTES) return undefined
      chunks.push(chunk)
    }
    return parseObject(Buffer.concat(chunks), MAX_ERROR_BYTES)?.json
  } catch {
    return undefined
  } finally {
    body.destroy()
  }
}

const MAX_RETRY_AFTER_MS = 60 * 60_000

function retryAfterOf(headers: HttpHeaders, json: JsonObject | undefined): number | undefined {
  const inBody = json?.['retry_after_ms']
  const seconds = Number(headers['retry-after'])
  const ms = typeof inBody === 'number' ? inBody : seconds * 1000
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined
}
