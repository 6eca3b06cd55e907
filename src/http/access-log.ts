import type { Counter, Histogram, Metrics } from '../telemetry/metrics.js'
import type { Logger } from '../telemetry/logger.js'

/** A request that has been answered. */
export interface AnsweredRequest {
  readonly requestId: string
  readonly method: string
  readonly url: string
  readonly ip: string
  readonly userAgent: string | undefined
  /** Who made it, where that is known. */
  readonly requester: string | undefined
  /** The route's name; undefined where there was none. */
  readonly operationId: string | undefined
  readonly status: number
  /** From its head to its answer. */
  readonly durationMs: number
}

/** One line and some numbers a request. */
export class AccessLog {
  readonly #logger: Logger
  readonly #responses: Counter
  readonly #times: Histogram
  readonly #watchers = new Set<(answered: AnsweredRequest) => void>()

  constructor(logger: Logger, metrics: Metrics) {
    this.#logger = logger
    this.#responses = metrics.counter({
      name: 'synapse_http_server_response_count',
      help: 'Requests answered',
    })
    this.#times = metrics.histogram({
      name: 'synapse_http_server_response_time_seconds',
      help: 'From the head of a request to its answer',
    })
  }

  /** Tells of every request that is answered, until what it gives is called. */
  watch(seen: (answered: AnsweredRequest) => void): () => void {
    this.#watchers.add(seen)
    return () => this.#watchers.delete(seen)
  }

  record(answered: AnsweredRequest): void {
    for (const seen of this.#watchers) seen(answered)
    const { method, status, durationMs, operationId, requestId, ip, requester, userAgent } = answered
    const servlet = operationId ?? 'unknown'
    const labels = { method: operationId === undefined ? 'ANY' : method, servlet, code: String(status) }
    this.#responses.inc(labels)
    this.#times.observe(durationMs / 1000, labels)
    const path = withoutSecrets(answered.url)
    this.#logger.info(
      {
        request: requestId,
        ip,
        requester,
        method,
        path,
        status,
        ms: Math.round(durationMs * 10) / 10,
        userAgent,
      },
      'Answered',
    )
  }
}

const SECRETS = /([?&](?:access_token|login_?token|token|client_secret|session|code|ticket)=)[^&#]*/gi

/** A URL without what would let a reader of the log in. */
function withoutSecrets(url: string): string {
  return url.includes('?') ? url.replace(SECRETS, '$1<redacted>') : url
}
