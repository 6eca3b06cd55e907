import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { HttpClient } from '../http-client.js'

/** What a service says of somebody whose password it knows. */
export interface CheckedProfile {
  readonly displayName: string | undefined
  readonly threepids: readonly { readonly medium: string; readonly address: string }[]
}

const PATH = '/_matrix-internal/identity/v1/check_credentials'
const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 256 * 1024

/**
 * Asks a service whether a password is somebody's, as ma1sd answers.
 * https://github.com/ma1uta/matrix-synapse-rest-password-provider#integrate
 */
export class CredentialCheckClient {
  readonly #http: Pick<HttpClient, 'request'>
  readonly #endpoint: string

  /** `endpoint`: without slashes at its end. */
  constructor(http: Pick<HttpClient, 'request'>, endpoint: string) {
    this.#http = http
    this.#endpoint = endpoint
  }

  /**
   * Undefined where the password is not theirs. Rejects with an `HttpFailure` where the service does not answer, and with
   * an error where what it answers says nothing.
   */
  async check(userId: string, password: string): Promise<CheckedProfile | undefined> {
    const { status, body } = await this.#http.request({
      method: 'POST',
      url: `${this.#endpoint}${PATH}`,
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ user: { id: userId, password } }),
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
    })
    if (status < 200 || status > 299) throw new Error(`the service answers with status ${status}`)
    const auth = objectIn(parse(body), 'auth')
    if (typeof auth?.['success'] !== 'boolean') throw new Error('the service answers what cannot be read')
    return auth['success'] ? profileOf(objectIn(auth, 'profile') ?? {}) : undefined
  }
}

function profileOf(profile: JsonObject): CheckedProfile {
  const { display_name: name, three_pids: threepids } = profile
  return {
    displayName: typeof name === 'string' ? name : undefined,
    threepids: (Array.isArray(threepids) ? threepids : []).flatMap((entry) => {
      const { medium, address } = isJsonObject(entry) ? entry : {}
      return typeof medium === 'string' && typeof address === 'string' ? [{ medium, address }] : []
    }),
  }
}

function parse(body: Buffer): JsonValue {
  try {
    return JSON.parse(body.toString('utf8')) as JsonValue
  } catch (cause) {
    // The text may have anything in it, which is not for the log.
    throw new Error('the service answers what cannot be read', { cause })
  }
}

function objectIn(value: JsonValue, key: string): JsonObject | undefined {
  const inner = isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
  return isJsonObject(inner) ? inner : undefined
}
