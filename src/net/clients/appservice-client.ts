import type { AppserviceRegistration } from '../../protocol/appservice-registration.js'
import { isJsonObject, type JsonValue } from '../../util/json.js'
import type { HttpClient, HttpReply } from '../http-client.js'

/** An application service has answered with an error. */
export class AppserviceRefusal extends Error {
  override readonly name = 'AppserviceRefusal'
  readonly status: number
  /** Of the answer, cut short. */
  readonly body: string

  constructor({ status, body }: HttpReply) {
    super(`the application service answered ${status}`)
    this.status = status
    this.body = body.toString('utf8').slice(0, 10_000)
  }
}

export interface AppserviceClientOptions {
  /** `use_appservice_legacy_authorization`. */
  readonly sendsTokenInQuery: boolean
}

const TIMEOUT_MS = 60_000
const QUERY_TIMEOUT_MS = 30_000
const MAX_ANSWER_BYTES = 1024 * 1024

interface AppserviceRequest {
  readonly method: 'GET' | 'POST' | 'PUT'
  /** From the slash after the service's URL. */
  readonly path: string
  /** Where services of before 2019 have the same. */
  readonly legacyPath?: string
  readonly query?: URLSearchParams
  /** JSON. */
  readonly body?: string
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Speaks to application services, which must have a URL. Rejects with an `AppserviceRefusal` for other answers than 2xx,
 * and with a `HttpFailure` where there is none. https://spec.matrix.org/latest/application-service-api/
 */
export class AppserviceClient {
  readonly #http: Pick<HttpClient, 'request'>
  readonly #options: AppserviceClientOptions

  constructor(http: Pick<HttpClient, 'request'>, options: AppserviceClientOptions) {
    this.#http = http
    this.#options = options
  }

  /** `body`: the transaction as JSON, the same text each time it is sent. */
  async sendTransaction(
    appservice: AppserviceRegistration,
    transaction: { txnId: number; body: string },
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#request(appservice, {
      method: 'PUT',
      path: `/_matrix/app/v1/transactions/${transaction.txnId}`,
      legacyPath: `/transactions/${transaction.txnId}`,
      body: transaction.body,
      signal,
    })
  }

  /** Whether the service has such a user; it may make one before it answers. */
  hasUser(appservice: AppserviceRegistration, userId: string): Promise<boolean> {
    return this.#exists(appservice, 'users', userId)
  }

  /** Whether the service has a room with this alias; it may make one before it answers. */
  hasAlias(appservice: AppserviceRegistration, alias: string): Promise<boolean> {
    return this.#exists(appservice, 'rooms', alias)
  }

  async ping(appservice: AppserviceRegistration, txnId: string | undefined): Promise<void> {
    await this.#request(appservice, {
      method: 'POST',
      path: '/_matrix/app/v1/ping',
      body: JSON.stringify(txnId === undefined ? {} : { transaction_id: txnId }),
      timeoutMs: QUERY_TIMEOUT_MS,
    })
  }

  /**
   * Asks about a network that the service bridges. `path`: from the slash after `thirdparty`, encoded. Undefined when the
   * service does not know or does not answer.
   */
  async askThirdParty(
    appservice: AppserviceRegistration,
    path: string,
    fields: Readonly<Record<string, string>> = {},
  ): Promise<JsonValue | undefined> {
    try {
      const reply = await this.#request(appservice, {
        method: 'GET',
        path: `/_matrix/app/v1/thirdparty${path}`,
        legacyPath: `/_matrix/app/unstable/thirdparty${path}`,
        query: new URLSearchParams(fields),
        timeoutMs: QUERY_TIMEOUT_MS,
      })
      return JSON.parse(reply.body.toString('utf8')) as JsonValue
    } catch {
      return undefined
    }
  }

  async #exists(appservice: AppserviceRegistration, kind: string, id: string): Promise<boolean> {
    try {
      await this.#request(appservice, {
        method: 'GET',
        path: `/_matrix/app/v1/${kind}/${encodeURIComponent(id)}`,
        legacyPath: `/${kind}/${encodeURIComponent(id)}`,
        timeoutMs: QUERY_TIMEOUT_MS,
      })
      return true
    } catch (error) {
      if (error instanceof AppserviceRefusal && error.status === 404) return false
      throw error
    }
  }

  async #request(appservice: AppserviceRegistration, request: AppserviceRequest): Promise<HttpReply> {
    const reply = await this.#send(appservice, request.path, request)
    if (isSuccess(reply)) return reply
    if (request.legacyPath !== undefined && isUnknownPath(reply)) {
      const legacy = await this.#send(appservice, request.legacyPath, request)
      if (isSuccess(legacy)) return legacy
    }
    throw new AppserviceRefusal(reply)
  }

  #send(
    { url, hsToken }: AppserviceRegistration,
    path: string,
    { method, query = new URLSearchParams(), body, timeoutMs, signal }: AppserviceRequest,
  ): Promise<HttpReply> {
    if (url === undefined) throw new Error('The application service has no URL')
    const params = new URLSearchParams(query)
    if (this.#options.sendsTokenInQuery) params.set('access_token', hsToken)
    const search = params.size === 0 ? '' : `?${params.toString()}`
    return this.#http.request({
      method,
      url: `${url}${path}${search}`,
      headers: {
        Authorization: `Bearer ${hsToken}`,
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body }),
      timeoutMs: timeoutMs ?? TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
      ...(signal && { signal }),
    })
  }
}

function isSuccess({ status }: HttpReply): boolean {
  return status >= 200 && status < 300
}

/** The service does not know the path, rather than what was asked for. */
function isUnknownPath({ status, body }: HttpReply): boolean {
  if (status === 405 || status === 501) return true
  if (status !== 404) return false
  try {
    const answer: unknown = JSON.parse(body.toString('utf8'))
    const errcode = isJsonObject(answer) ? answer['errcode'] : undefined
    return errcode === undefined || errcode === 'M_UNRECOGNIZED'
  } catch {
    return true
  }
}
