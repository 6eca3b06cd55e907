import { performance } from 'node:perf_hooks'
import type { RequestListener } from 'node:http'
import { routesOfResources } from '../api/resources.js'
import type { ListenerConfig } from '../config/sections/listeners.js'
import { AccessLog } from '../http/access-log.js'
import { createKoaApp } from '../http/koa-app.js'
import { Pipeline } from '../http/pipeline.js'
import { buildRouteTable } from '../http/route-table.js'
import { Router } from '../http/router.js'
import { TxnDedupe } from '../http/txn-dedupe.js'
import type { RateLimits } from '../services/accounts/ratelimits.js'
import type { Authenticator } from '../services/accounts/requester.js'
import type { Services } from '../services/services.js'
import type { Logger } from '../telemetry/logger.js'
import type { Metrics } from '../telemetry/metrics.js'
import { namesWorkInLogs } from '../telemetry/request-context.js'
import type { Clock } from '../util/clock.js'

export interface HttpParts {
  /** Knows everybody who has an access token. */
  readonly authenticator: Authenticator
  readonly services: Services
  readonly rateLimits: RateLimits
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal
}

/** What answers requests. */
export function createPipeline(parts: HttpParts): Pipeline {
  const { services, rateLimits, clock, logger, metrics, stopping } = parts
  const pipeline = new Pipeline({
    services,
    authenticator: parts.authenticator,
    federationGate: services.federationGate,
    usageLimits: services.usageLimits,
    rateLimits,
    accessLog: new AccessLog(logger.child({ component: 'access' }), metrics),
    dedupe: new TxnDedupe(clock),
    logger,
    monotonicMs: () => performance.now(),
    stopping,
    namesRequestInLogs: namesWorkInLogs(logger.level),
  })
  metrics.observed(
    { name: 'synapse_http_server_in_flight_requests_count', help: 'Requests that are being answered' },
    () => [[{}, pipeline.running]],
  )
  return pipeline
}

/** What a listener's connections talk to. `servesMedia`: files are kept here. `accounts`: in whose hands they are. */
export function createRequestListener(
  pipeline: Pipeline,
  listener: ListenerConfig,
  options: { servesMedia: boolean; accounts: 'own' | 'delegated' },
): RequestListener {
  const names = listener.resources.map(({ name }) => name)
  const app = createKoaApp(pipeline, {
    router: new Router(buildRouteTable(routesOfResources(names, options))),
    trustsForwardedFor: listener.xForwarded,
    requestIdHeader: listener.requestIdHeader,
    compresses: listener.resources.some(({ compress }) => compress),
  })
  const callback = app.callback()
  return (req, res) => void callback(req, res)
}
