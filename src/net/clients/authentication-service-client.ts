import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { HttpClient, HttpReply } from '../http-client.js'

/** What an authentication service says of an access token. */
export interface IntrospectedToken {
  /** False: it is none, or none any more; then nothing else is said. */
  readonly isActive: boolean
  /** What the token may be used for. */
  readonly scope: ReadonlySet<string>
  /** The localpart of the user; undefined: nobody's, such as a token of the service's own clients. */
  readonly username: string | undefined
  /** Undefined: the scope says which, if any. */
  readonly deviceId: string | undefined
  /** Undefined: until it is ended. */
  readonly expiresInMs: number | undefined
}

/**
 * What an authentication service says of itself:
 * https://spec.matrix.org/latest/client-server-api/#server-metadata-discovery
 */
export interface AuthenticationServiceMetadata {
  readonly issuer: string
  /** Where people manage their account. */
  readonly accountUrl: string
  /** Everything, as it has come. */
  readonly json: Readonly<JsonObject>
}

/** An authentication service has answered with something else than what was asked for. */
export class AuthenticationServiceError extends Error {
  override readonly name = 'AuthenticationServiceError'
}

export interface AuthenticationServiceOptions {
  /** Without a slash at the end. */
  readonly endpoint: string
  readonly secret: string
  /** Told how long each answer about a token has taken: its status, or `ERR` where none came. */
  readonly onIntrospected?: (code: string, ms: number) => void
  /** Milliseconds from any moment on; only differences count. */
  readonly monotonicMs?: () => number
}

const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 256 * 1024

/**
 * Speaks to a Matrix Authentication Service. Every method rejects with an `AuthenticationServiceError` for answers that
 * are none, and with a `HttpFailure` where there is no answer. Neither says anything of the token or the secret.
 */
export class AuthenticationServiceClient {
  readonly #http: Pick<HttpClient, 'request'>
  readonly #options: AuthenticationServiceOptions

  /** @param http reaches any address, since the operator names it */
  constructor(http: Pick<HttpClient, 'request'>, options: AuthenticationServiceOptions) {
    this.#http = http
    this.#options = options
  }

  /** Asks whose an access token is. https://www.rfc-editor.org/rfc/rfc7662 */
  async introspect(token: string): Promise<IntrospectedToken> {
    const { onIntrospected, monotonicMs = () => 0 } = this.#options
    const startedMs = monotonicMs()
    let code = 'ERR'
    try {
      const reply = await this.#postToken(token)
      code = String(reply.status)
      return toToken(objectOf(reply))
    } finally {
      onIntrospected?.(code, monotonicMs() - startedMs)
    }
  }

  #postToken(token: string): Promise<HttpReply> {
    const { endpoint, secret } = this.#options
    return this.#http.request({
      method: 'POST',
      url: `${endpoint}/oauth2/introspect`,
      headers: {
        Authorization: `Bearer ${secret}`,
        'Content-Type': 'application/x-www-form-urlencoded',
        Accept: 'application/json',
        // Names of devices that no scope can hold are wanted too.
        'X-MAS-Supports-Device-Id': '1',
      },
      body: new URLSearchParams({ token, token_type_hint: 'access_token' }).toString(),
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
    })
  }

  async fetchMetadata(): Promise<AuthenticationServiceMetadata> {
    const reply = await this.#http.request({
      method: 'GET',
      url: `${this.#options.endpoint}/.well-known/openid-configuration`,
      headers: { Accept: 'application/json' },
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
    })
    const json = objectOf(reply)
    return {
      issuer: urlOf(json, 'issuer'),
      accountUrl: urlOf(json, 'account_management_uri'),
      json,
    }
  }
}

function toToken(json: JsonObject): IntrospectedToken {
  const { active } = json
  if (typeof active !== 'boolean') throw malformed('active')
  const expiresIn = json['expires_in'] ?? undefined
  if (expiresIn !== undefined && !Number.isSafeInteger(expiresIn)) throw malformed('expires_in')
  const scope = textOf(json, 'scope') ?? ''
  return {
    isActive: active,
    scope: new Set(scope.split(' ').filter((token) => token !== '')),
    username: textOf(json, 'username'),
    deviceId: textOf(json, 'device_id'),
    expiresInMs: expiresIn === undefined ? undefined : Number(expiresIn) * 1000,
  }
}

function textOf(json: JsonObject, key: string): string | undefined {
  const value: JsonValue | undefined = json[key] ?? undefined
  if (value === undefined || typeof value === 'string') return value
  throw malformed(key)
}

function urlOf(json: JsonObject, key: string): string {
  const value = json[key]
  if (typeof value === 'string' && /^https?:\/\//.test(value) && URL.canParse(value)) return value
  throw malformed(key)
}

/** The content of a successful answer. */
function objectOf({ status, body }: HttpReply): JsonObject {
  if (status < 200 || status > 299) throw new AuthenticationServiceError(`it answers with status ${status}`)
  let parsed: unknown
  try {
    parsed = JSON.parse(body.toString('utf8'))
  } catch {
    throw new AuthenticationServiceError('it answers with something that is no JSON')
  }
  if (isJsonObject(parsed)) return parsed
  throw new AuthenticationServiceError('it answers with something that is no JSON object')
}

function malformed(key: string): AuthenticationServiceError {
  return new AuthenticationServiceError(`what it says of ${key} cannot be read`)
}
