import { isJsonObject, type JsonValue } from '../../util/json.js'
import type { HttpClient } from '../http-client.js'

export interface CaptchaClientOptions {
  /** `recaptcha_siteverify_api` */
  readonly url: string
  /** `recaptcha_private_key` */
  readonly secret: string
}

const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 64 * 1024

/**
 * Asks reCAPTCHA, or a service that speaks as it does, whether somebody has solved a puzzle.
 * https://developers.google.com/recaptcha/docs/verify
 */
export class CaptchaClient {
  readonly #http: Pick<HttpClient, 'request'>
  readonly #options: CaptchaClientOptions

  constructor(http: Pick<HttpClient, 'request'>, options: CaptchaClientOptions) {
    this.#http = http
    this.#options = options
  }

  /**
   * Whether the service made this answer for somebody who had solved the puzzle; each is good once. Rejects with an
   * `HttpFailure` where the service does not answer, and with an error where what it answers cannot be read.
   */
  async isSolved(answer: string): Promise<boolean> {
    const { url, secret } = this.#options
    const reply = await this.#http.request({
      method: 'POST',
      url,
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ secret, response: answer }).toString(),
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
    })
    const verdict = JSON.parse(reply.body.toString('utf8')) as JsonValue
    return isJsonObject(verdict) && verdict['success'] === true
  }
}
