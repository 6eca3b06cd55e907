import type { JsonObject } from '../util/json.js'

/**
 * Every errcode this server answers with, and the HTTP status it has unless the endpoint says otherwise.
 * https://spec.matrix.org/latest/client-server-api/#standard-error-response
 */
export const ERRCODES = {
  'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION': 409,
  'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD': 400,
  M_APPSERVICE_LOGIN_UNSUPPORTED: 400,
  M_BAD_ALIAS: 400,
  M_BAD_JSON: 400,
  M_BAD_STATE: 400,
  M_BAD_STATUS: 502,
  M_CANNOT_LEAVE_SERVER_NOTICE_ROOM: 403,
  M_CANNOT_OVERWRITE_MEDIA: 409,
  M_CAPTCHA_INVALID: 400,
  M_CAPTCHA_NEEDED: 400,
  M_CONNECTION_FAILED: 502,
  M_CONNECTION_TIMEOUT: 504,
  M_CONSENT_NOT_GIVEN: 403,
  M_DUPLICATE_ANNOTATION: 400,
  M_EXCLUSIVE: 400,
  M_FORBIDDEN: 403,
  M_GUEST_ACCESS_FORBIDDEN: 403,
  M_INCOMPATIBLE_ROOM_VERSION: 400,
  M_INVALID_PARAM: 400,
  M_INVALID_ROOM_STATE: 400,
  M_INVALID_SIGNATURE: 400,
  M_INVALID_USERNAME: 400,
  M_INVITE_BLOCKED: 403,
  M_KEY_TOO_LARGE: 400,
  M_LIMIT_EXCEEDED: 429,
  M_MISSING_PARAM: 400,
  M_MISSING_TOKEN: 401,
  M_NOT_FOUND: 404,
  M_NOT_JSON: 400,
  M_NOT_YET_UPLOADED: 504,
  M_NO_VALID_SESSION: 404,
  M_PROFILE_TOO_LARGE: 400,
  M_RESOURCE_LIMIT_EXCEEDED: 403,
  M_ROOM_IN_USE: 400,
  M_SERVER_NOT_TRUSTED: 400,
  M_SESSION_EXPIRED: 400,
  M_SESSION_NOT_VALIDATED: 400,
  M_TERMS_NOT_SIGNED: 403,
  M_THREEPID_AUTH_FAILED: 400,
  M_THREEPID_DENIED: 403,
  M_THREEPID_IN_USE: 400,
  M_THREEPID_MEDIUM_NOT_SUPPORTED: 400,
  M_THREEPID_NOT_FOUND: 400,
  M_TOO_LARGE: 413,
  M_UNABLE_TO_AUTHORISE_JOIN: 400,
  M_UNABLE_TO_GRANT_JOIN: 400,
  M_UNAUTHORIZED: 401,
  M_UNKNOWN: 500,
  M_UNKNOWN_DEVICE: 400,
  M_UNKNOWN_POS: 400,
  M_UNKNOWN_TOKEN: 401,
  M_UNRECOGNIZED: 404,
  M_UNSUPPORTED_ROOM_VERSION: 400,
  M_URL_NOT_SET: 400,
  M_USER_DEACTIVATED: 403,
  M_USER_IN_USE: 400,
  M_USER_LIMIT_EXCEEDED: 400,
  M_USER_LOCKED: 401,
  M_USER_SUSPENDED: 403,
  M_WEAK_PASSWORD: 400,
  M_WRONG_ROOM_KEYS_VERSION: 403,
} as const satisfies Record<string, number>

export type Errcode = keyof typeof ERRCODES

/** An answer the client is meant to see: `{errcode, error, ...fields}` with an HTTP status. */
export class MatrixError extends Error {
  override readonly name = 'MatrixError'
  readonly errcode: Errcode
  readonly status: number
  /** Further keys of the response body, `retry_after_ms` for example. */
  readonly fields: JsonObject | undefined

  constructor(errcode: Errcode, message: string, options: { status?: number; fields?: JsonObject } = {}) {
    super(message)
    this.errcode = errcode
    this.status = options.status ?? ERRCODES[errcode]
    this.fields = options.fields
  }

  /** The response body. */
  toJson(): JsonObject {
    return { ...this.fields, errcode: this.errcode, error: this.message }
  }
}

/** What another server has refused something with, passed on to the client: this server may not know the errcode. */
export class PassedOnError extends MatrixError {
  readonly #said: string

  constructor(errcode: string, message: string, options: { status: number; fields?: JsonObject }) {
    super('M_UNKNOWN', message, options)
    this.#said = errcode
  }

  override toJson(): JsonObject {
    return { ...super.toJson(), errcode: this.#said }
  }
}

// Constructors are returned and thrown by the caller, so that the control flow stays visible.
export const forbidden = (message: string): MatrixError => new MatrixError('M_FORBIDDEN', message)
export const notFound = (message = 'Not found'): MatrixError => new MatrixError('M_NOT_FOUND', message)
export const badJson = (message: string): MatrixError => new MatrixError('M_BAD_JSON', message)
export const invalidParam = (message: string): MatrixError => new MatrixError('M_INVALID_PARAM', message)
export const invalidSignature = (message: string): MatrixError =>
  new MatrixError('M_INVALID_SIGNATURE', message)
export const missingParam = (name: string): MatrixError =>
  new MatrixError('M_MISSING_PARAM', `Missing parameter: ${name}`)
export const tooLarge = (message: string): MatrixError => new MatrixError('M_TOO_LARGE', message)
export const unrecognized = (status: 400 | 404 | 405 = 404): MatrixError =>
  new MatrixError('M_UNRECOGNIZED', 'Unrecognized request', { status })
export const missingToken = (): MatrixError => new MatrixError('M_MISSING_TOKEN', 'Missing access token')
export const unknownToken = (options: { softLogout?: boolean } = {}): MatrixError =>
  new MatrixError('M_UNKNOWN_TOKEN', 'Unknown access token', {
    fields: { soft_logout: options.softLogout ?? false },
  })
/** https://spec.matrix.org/latest/client-server-api/#account-locking */
export const userLocked = (): MatrixError =>
  new MatrixError('M_USER_LOCKED', 'This account has been locked', { fields: { soft_logout: true } })

/** 429 with `retry_after_ms`; the response also carries `Retry-After` in whole seconds, rounded up. */
export const limitExceeded = (retryAfterMs: number): MatrixError =>
  new MatrixError('M_LIMIT_EXCEEDED', 'Too Many Requests', {
    fields: { retry_after_ms: Math.max(0, Math.ceil(retryAfterMs)) },
  })
