import { MatrixError } from '../protocol/errors.js'
import { RequestAbortedError } from './body.js'
import { HttpResponse, type ResponseHeaders } from './responses.js'

/** What an error becomes for the client, and whether the operator should hear of it. */
export interface ErrorOutcome {
  readonly response: HttpResponse
  /** True for errors of the server: those are logged with their stack. */
  readonly isUnexpected: boolean
}

/** Nobody reads it: for the log and the metrics. */
const CLIENT_CLOSED_REQUEST = 499

/**
 * Translates whatever a request threw.
 * https://spec.matrix.org/latest/client-server-api/#standard-error-response
 */
export function toErrorOutcome(error: unknown): ErrorOutcome {
  if (error instanceof MatrixError) {
    const response = new HttpResponse(error.status, { json: error.toJson() }, headersOf(error))
    return { response, isUnexpected: error.status === 500 }
  }
  if (error instanceof RequestAbortedError) {
    return { response: new HttpResponse(CLIENT_CLOSED_REQUEST), isUnexpected: false }
  }
  if (isFederationError(error)) {
    const json = { errcode: 'M_UNKNOWN', error: `Another server could not be asked: ${error.message}` }
    return { response: new HttpResponse(502, { json }), isUnexpected: false }
  }
  const json = { errcode: 'M_UNKNOWN', error: 'Internal server error' }
  return { response: new HttpResponse(500, { json }), isUnexpected: true }
}

/** By name, since this layer does not know the class. What the remote said means something only where it was asked. */
function isFederationError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'FederationError'
}

function headersOf(error: MatrixError): ResponseHeaders {
  const retryAfterMs = error.fields?.['retry_after_ms']
  if (error.errcode === 'M_LIMIT_EXCEEDED' && typeof retryAfterMs === 'number') {
    return { 'Retry-After': String(Math.ceil(retryAfterMs / 1000)) }
  }
  // The rest of what is too large need not be sent.
  return error.errcode === 'M_TOO_LARGE' ? { Connection: 'close' } : {}
}
