import { unrecognized } from '../protocol/errors.js'
import type { ServerName } from '../protocol/ids.js'
import type { RateLimits } from '../services/accounts/ratelimits.js'
import type { Authenticator, Requester } from '../services/accounts/requester.js'
import type { FederationGate } from '../services/remote/federation-gate.js'
import type { UsageLimits } from '../services/accounts/usage-limits.js'
import type { Services } from '../services/services.js'
import type { Logger } from '../telemetry/logger.js'
import { withRequestContext } from '../telemetry/request-context.js'
import type { JsonValue } from '../util/json.js'
import type { AccessLog } from './access-log.js'
import { authenticate, checkIsAuthenticationService } from './auth.js'
import { BodyBudget, type BodyLease } from './body-budget.js'
import { DEFAULT_MAX_BODY_BYTES, parseJsonBody, readBody } from './body.js'
import { PREFLIGHT_HEADERS } from './cors.js'
import { toErrorOutcome } from './errors.js'
import { authenticateServer } from './federation-auth.js'
import { checkPathParams } from './path-params.js'
import { parseQuery, type RawQuery } from './query.js'
import { countRequest, type Refund } from './rate-limiter.js'
import { IncomingRequest, type HttpExchange } from './request-info.js'
import { HttpResponse } from './responses.js'
import type { Route } from './route.js'
import type { Router } from './router.js'
import { applySchema } from './schema.js'
import { type TxnDedupe, txnKey } from './txn-dedupe.js'
import { asksForConsent, passConsentGate } from './consent-gate.js'
import { passUsageGate } from './usage-gate.js'

export interface PipelineDependencies {
  readonly services: Services
  readonly authenticator: Authenticator
  /** Of requests of other servers. */
  readonly federationGate: FederationGate
  readonly rateLimits: RateLimits
  readonly accessLog: AccessLog
  /** How many people may use the server; undefined: any number. */
  readonly usageLimits?: UsageLimits | undefined
  readonly dedupe: TxnDedupe
  readonly logger: Logger
  /** Milliseconds from any moment on; only differences count. */
  readonly monotonicMs: () => number
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal
  /** Every line that is logged during a request names it. Costs every promise of the process some time. */
  readonly namesRequestInLogs: boolean
}

/** What differs between listeners. */
export interface ListenerView {
  readonly router: Router
  /** `x_forwarded`: the proxy in front says who the client is. */
  readonly trustsForwardedFor: boolean
  /** `request_id_header`: the proxy in front names requests. */
  readonly requestIdHeader: string | undefined
  /** `compress`: long answers are packed for clients that want it. */
  readonly compresses: boolean
}

/** What becomes known of a request while it is answered. */
interface Progress {
  route?: Route
  requester?: Requester
  /** The server that has signed the request. */
  origin?: ServerName
  refund?: Refund
  /** What the body of another server's request takes. */
  bodyLease?: BodyLease
}

/** What signed bodies take together: of the usual size, hundreds; of the greatest, one at a time. */
const SERVER_BODIES_BYTES = 256 * 1024 * 1024

/** Answers requests: everything between the bytes of HTTP and the handlers of routes. */
export class Pipeline {
  readonly #deps: PipelineDependencies
  readonly #serverBodies = new BodyBudget(SERVER_BODIES_BYTES)
  #requests = 0
  #running = 0
  #idle: (() => void)[] = []

  constructor(deps: PipelineDependencies) {
    this.#deps = deps
  }

  /** What has been answered. */
  get accessLog(): AccessLog {
    return this.#deps.accessLog
  }

  /** Milliseconds from any moment on; only differences count. */
  get monotonicMs(): () => number {
    return this.#deps.monotonicMs
  }

  /** How many requests are being answered. */
  get running(): number {
    return this.#running
  }

  /** The server is stopping: connections end with their answers. */
  get isStopping(): boolean {
    return this.#deps.stopping.aborted
  }

  /** Resolves when no request is being answered. */
  whenIdle(): Promise<void> {
    if (this.#running === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /** Never rejects: what fails becomes the answer that the client is to see. */
  async answer(exchange: HttpExchange, view: ListenerView): Promise<HttpResponse> {
    const { stopping, namesRequestInLogs } = this.#deps
    const requestId = givenId(exchange, view) ?? `${exchange.req.method ?? ''}-${++this.#requests}`
    const request = new IncomingRequest(exchange, {
      requestId,
      trustsForwardedFor: view.trustsForwardedFor,
      stopping,
    })
    this.#running++
    try {
      return await (namesRequestInLogs
        ? withRequestContext({ requestId }, () => this.#run(exchange, request, view))
        : this.#run(exchange, request, view))
    } finally {
      this.#running--
      if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve()
    }
  }

  async #run(exchange: HttpExchange, request: IncomingRequest, view: ListenerView): Promise<HttpResponse> {
    const started = this.#deps.monotonicMs()
    const progress: Progress = {}
    const response = await this.#respondOrFail(exchange, { request, view, progress })
    if (response.status >= 300) progress.refund?.()
    progress.bodyLease?.giveBack()
    this.#deps.accessLog.record({
      requestId: request.requestId,
      method: request.method,
      url: request.url,
      ip: request.ip,
      userAgent: request.userAgent,
      requester: progress.requester?.userId ?? progress.origin,
      operationId: progress.route?.operationId,
      status: response.status,
      durationMs: this.#deps.monotonicMs() - started,
    })
    return response
  }

  async #respondOrFail(exchange: HttpExchange, work: Work): Promise<HttpResponse> {
    try {
      return await this.#respond(exchange, work)
    } catch (err) {
      const { response, isUnexpected } = toErrorOutcome(err)
      if (isUnexpected) {
        const { request, progress } = work
        const fields = { err, request: request.requestId, operation: progress.route?.operationId }
        this.#deps.logger.error(fields, 'A request failed')
      }
      return response
    }
  }

  async #respond(exchange: HttpExchange, { request, view, progress }: Work): Promise<HttpResponse> {
    const { services, authenticator, rateLimits } = this.#deps
    if (request.method === 'OPTIONS') return new HttpResponse(204, undefined, PREFLIGHT_HEADERS)
    const [path, search] = splitUrl(request.url)
    const match = view.router.match(request.method, path)
    if (match.kind === 'wrongMethod') return wrongMethod(match.allowed)
    if (match.kind === 'unknown') throw unrecognized()
    const { route, paramNames } = match.entry
    progress.route = route
    const params = checkPathParams(paramNames, match.params)
    const rawQuery = parseQuery(search)
    if (route.auth === 'federation') {
      return this.#respondToServer(exchange, { request, progress, route, params, rawQuery })
    }
    const { ip, userAgent } = request
    const credentials = { authorization: exchange.req.headers.authorization, query: rawQuery, ip, userAgent }
    if (route.auth === 'authenticationService')
      checkIsAuthenticationService(services.authenticationService, credentials)
    const requester = await authenticate(authenticator, route, credentials)
    if (requester !== undefined) progress.requester = requester
    await passUsageGate(this.#deps.usageLimits, route.operationId, requester)
    if (requester !== undefined && asksForConsent(services)) {
      await passConsentGate(services, route.operationId, { requester, params })
    }
    const refund = await countRequest(rateLimits, route.rateLimit, { requester, ip })
    if (refund !== undefined) progress.refund = refund
    const query: unknown = route.query === undefined ? undefined : applySchema(route.query, rawQuery, 'query')
    const body: unknown = route.body === undefined ? undefined : await this.#readBody(request, route)
    request.outlivesClient = route.dedupe !== undefined
    const run = async (): Promise<HttpResponse> =>
      // What the handler gets was made of the schemas that its own types come from.
      toResponse(await route.handler({ params, query, body, requester, request } as never, services))
    if (route.dedupe === undefined || requester === undefined) return run()
    const key = txnKey(requester, route.operationId, Object.values(params))
    return this.#deps.dedupe.once(key, run, ({ status }) => status < 300)
  }

  /** As above, for requests that other servers sign: with their bodies, which are read first. */
  async #respondToServer(
    exchange: HttpExchange,
    { request, progress, route, params, rawQuery }: ServerWork,
  ): Promise<HttpResponse> {
    const { services, federationGate } = this.#deps
    const lease = this.#serverBodies.lease()
    progress.bodyLease = lease
    const { origin, text, value } = await authenticateServer(federationGate, exchange, route, lease)
    progress.origin = origin
    request.rawBody = text
    const query: unknown = route.query === undefined ? undefined : applySchema(route.query, rawQuery, 'query')
    const body: unknown = route.body === undefined ? undefined : applySchema(route.body, value, 'body')
    const input = { params, query, body, requester: { origin }, request } as never
    const run = async (): Promise<HttpResponse> => toResponse(await route.handler(input, services))
    return federationGate.limit(origin, run)
  }

  async #readBody(request: IncomingRequest, route: Route): Promise<unknown> {
    const bytes = await readBody(request, route.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES)
    const { text, value } = parseJsonBody(bytes, {
      emptyBody: route.emptyBody ?? false,
      allowNul: route.allowNul ?? false,
      maxParts: route.maxBodyParts,
    })
    request.rawBody = text
    return applySchema(route.body, value, 'body')
  }
}

interface Work {
  readonly request: IncomingRequest
  readonly view: ListenerView
  readonly progress: Progress
}

interface ServerWork extends Pick<Work, 'request' | 'progress'> {
  readonly route: Route
  readonly params: Readonly<Record<string, string>>
  readonly rawQuery: RawQuery
}

const MAX_REQUEST_ID_LENGTH = 100

function givenId({ req }: HttpExchange, { requestIdHeader }: ListenerView): string | undefined {
  if (requestIdHeader === undefined) return undefined
  const given = req.headers[requestIdHeader.toLowerCase()]
  return typeof given === 'string' && given !== '' ? given.slice(0, MAX_REQUEST_ID_LENGTH) : undefined
}

function wrongMethod(allowed: readonly string[]): HttpResponse {
  return new HttpResponse(405, { json: unrecognized(405).toJson() }, { Allow: allowed.join(', ') })
}

function toResponse(answer: unknown): HttpResponse {
  return answer instanceof HttpResponse ? answer : new HttpResponse(200, { json: answer as JsonValue })
}

/** Path and query, each as sent. */
function splitUrl(url: string): readonly [string, string] {
  const start = url.startsWith('/') ? 0 : startOfPath(url)
  const query = url.indexOf('?')
  return query === -1 ? [url.slice(start), ''] : [url.slice(start, query), url.slice(query + 1)]
}

/** Of a request line with a whole URL, as proxies are sent. */
function startOfPath(url: string): number {
  const host = url.indexOf('://')
  const slash = host === -1 ? -1 : url.indexOf('/', host + 3)
  return slash === -1 ? url.length : slash
}
