import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { HttpClient } from '../http-client.js'

export interface AntispamClientOptions {
  /** Without slashes at its end. */
  readonly baseUrl: string
  /** Undefined: the service does not want to know who asks. */
  readonly token: string | undefined
}

/** What a service says: nothing against it, or what is to be told to whoever wanted it. */
export type AntispamVerdict =
  | { readonly isSpam: false; readonly answer: JsonValue }
  | { readonly isSpam: true; readonly body: JsonObject }

const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 64 * 1024

/** Asks a service what is spam. https://github.com/maunium/synapse-http-antispam */
export class AntispamClient {
  readonly #http: Pick<HttpClient, 'request'>
  readonly #options: AntispamClientOptions

  constructor(http: Pick<HttpClient, 'request'>, options: AntispamClientOptions) {
    this.#http = http
    this.#options = options
  }

  /**
   * Rejects with an `HttpFailure` where the service does not answer, and with an error where what it answers is no JSON:
   * then it has said nothing.
   */
  async ask(callback: string, body: JsonObject): Promise<AntispamVerdict> {
    const { baseUrl, token } = this.#options
    const reply = await this.#http.request({
      method: 'POST',
      url: `${baseUrl}/${callback}`,
      headers: {
        'Content-Type': 'application/json',
        ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
    })
    const answer = parse(reply.body, reply.status)
    if (reply.status >= 200 && reply.status < 300) return { isSpam: false, answer }
    return { isSpam: true, body: isJsonObject(answer) ? answer : {} }
  }
}

function parse(body: Buffer, status: number): JsonValue {
  try {
    return JSON.parse(body.toString('utf8')) as JsonValue
  } catch (cause) {
    throw new Error(`the service answers ${status} with what is no JSON`, { cause })
  }
}
