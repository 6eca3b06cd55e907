import { AddressDeniedError } from './ip-policy.js'

/**
 * Why a request got no answer. `denied`: the configuration forbids the address; `unreachable`: no connection, or one
 * that broke; `certificate`: whoever answered could not prove to be the one that was called; `timeout`: no complete
 * answer in time; `tooLarge`: more than was asked for; `malformed`: no HTTP, or redirects without end; `aborted`: the
 * caller did not want it any more.
 */
export type HttpFailureKind =
  'denied' | 'unreachable' | 'certificate' | 'timeout' | 'tooLarge' | 'malformed' | 'aborted'

/** A request without an answer. The message says what happened, in words for the operator. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure'
  readonly kind: HttpFailureKind
  /** The system's name of the problem, such as `ECONNREFUSED`, where it has one. */
  readonly code: string | undefined

  constructor(kind: HttpFailureKind, message: string, options: { cause?: unknown; code?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.code = options.code
  }
}

type SystemError = Error & { code?: string; errors?: readonly Error[] }

/** Codes of Node's and OpenSSL's for certificates that prove nothing. */
const CERTIFICATE_CODE =
  /^(?:ERR_TLS_CERT|CERT_|CRL_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(?:GET_ISSUER|VERIFY|GET_CRL|DECRYPT)|INVALID_(?:CA|PURPOSE)|HOSTNAME_MISMATCH|PATH_LENGTH|ERROR_IN_CERT)/
/** Of undici: what came was no answer. */
const MALFORMED_CODE = /^(?:HPE_|UND_ERR_(?:HEADERS_OVERFLOW|RESPONSE|RES_|REQ_CONTENT))/
/** Of OpenSSL: no TLS at all, or none that both sides know. */
const TLS_CODE = /^(?:ERR_SSL_|EPROTO$)/

const MESSAGES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused: nothing listens there',
  ECONNRESET: 'the connection was reset',
  EHOSTUNREACH: 'there is no way to the host',
  ENETUNREACH: 'there is no way to the network',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name servers do not answer',
  ETIMEDOUT: 'the host does not answer',
  UND_ERR_CONNECT_TIMEOUT: 'the host does not answer',
  UND_ERR_SOCKET: 'the connection was closed before the answer came',
  EPIPE: 'the connection was closed before the answer came',
}

/** What any error of a request means. */
export function toHttpFailure(error: unknown): HttpFailure {
  if (error instanceof HttpFailure) return error
  if (!(error instanceof Error)) return new HttpFailure('unreachable', String(error))
  const cause = innermost(error)
  if (cause instanceof HttpFailure) return cause
  if (cause instanceof AddressDeniedError) return new HttpFailure('denied', cause.message, { cause: error })
  const { code, message } = cause
  if (code === undefined) return new HttpFailure('unreachable', message || 'no connection', { cause: error })
  return ofCode(code, message, error)
}

function ofCode(code: string, message: string, cause: unknown): HttpFailure {
  const details = { cause, code }
  if (CERTIFICATE_CODE.test(code)) {
    return new HttpFailure('certificate', `the certificate is not accepted: ${message}`, details)
  }
  if (MALFORMED_CODE.test(code)) {
    return new HttpFailure('malformed', `what came was no valid answer: ${message}`, details)
  }
  if (TLS_CODE.test(code)) {
    return new HttpFailure('unreachable', `the two sides do not agree on TLS (${code})`, details)
  }
  return new HttpFailure('unreachable', MESSAGES[code] ?? (message || code), details)
}

/** Of several attempts the first that failed for a reason of its own; else the error itself. */
function innermost(error: SystemError): SystemError {
  if (error.errors !== undefined && error.errors.length > 0) {
    const denied = error.errors.find((each) => each instanceof AddressDeniedError)
    return denied ?? error.errors[0]!
  }
  return error
}
