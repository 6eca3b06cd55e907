import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { HttpClient } from '../http-client.js'

/** The push gateway has not taken a notification. */
class PushGatewayError extends Error {
  override readonly name = 'PushGatewayError'
}

const TIMEOUT_MS = 30_000
const MAX_ANSWER_BYTES = 64 * 1024

/** Speaks to push gateways. https://spec.matrix.org/latest/push-gateway-api/ */
export class PushGatewayClient {
  readonly #http: Pick<HttpClient, 'request'>

  constructor(http: Pick<HttpClient, 'request'>) {
    this.#http = http
  }

  /**
   * Hands over a notification. Gives the keys that the gateway will never again send anything to. Rejects with a
   * `PushGatewayError` for other answers than 2xx, and with a `HttpFailure` where there is none.
   */
  async notify(url: string, notification: JsonObject, signal?: AbortSignal): Promise<readonly string[]> {
    const { status, body } = await this.#http.request({
      method: 'POST',
      url,
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ notification }),
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
      ...(signal && { signal }),
    })
    if (status < 200 || status > 299) throw new PushGatewayError(`the push gateway answered ${status}`)
    return rejectedOf(body)
  }
}

/** An answer without a list rejects nothing. */
function rejectedOf(body: Buffer): readonly string[] {
  try {
    const answer: unknown = JSON.parse(body.toString('utf8'))
    const rejected = isJsonObject(answer) ? answer['rejected'] : undefined
    return Array.isArray(rejected) ? rejected.filter((key): key is string => typeof key === 'string') : []
  } catch {
    return []
  }
}
