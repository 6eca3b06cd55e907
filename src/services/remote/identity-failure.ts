import { IdentityServerError } from '../../net/clients/identity-server-client.js'
import { HttpFailure } from '../../net/http-failure.js'
import { ERRCODES, MatrixError, type Errcode } from '../../protocol/errors.js'

/**
 * What a client is told when the identity server that it has named does not do what was asked of it: its own error, unless
 * that would be taken for one about the client's session here; 400 `M_SERVER_NOT_TRUSTED` for servers that must not be
 * reached; otherwise 502 or 504. Rethrows what is no failure of an identity server.
 */
export function identityFailure(error: unknown): MatrixError {
  if (error instanceof IdentityServerError) return ofAnswer(error)
  if (!(error instanceof HttpFailure)) throw error
  if (error.kind === 'denied') {
    return new MatrixError('M_SERVER_NOT_TRUSTED', 'This server does not speak to that identity server')
  }
  const errcode = error.kind === 'timeout' ? 'M_CONNECTION_TIMEOUT' : 'M_CONNECTION_FAILED'
  return new MatrixError(errcode, `The identity server gives no answer: ${error.message}`)
}

function ofAnswer({ status, errcode, message }: IdentityServerError): MatrixError {
  if (errcode === undefined || status < 400 || status > 499) {
    return new MatrixError(
      'M_CONNECTION_FAILED',
      `The identity server does not answer as expected: ${message}`,
    )
  }
  if (status === 401) {
    return new MatrixError('M_FORBIDDEN', `The identity server does not accept the access token: ${message}`)
  }
  const known = Object.hasOwn(ERRCODES, errcode) && !ABOUT_THIS_SERVER.has(errcode)
  return new MatrixError(known ? (errcode as Errcode) : 'M_FORBIDDEN', message, { status })
}

/** Errors upon which clients end the session that they have here, or think that an endpoint is missing. */
const ABOUT_THIS_SERVER: ReadonlySet<string> = new Set([
  'M_MISSING_TOKEN',
  'M_UNKNOWN_TOKEN',
  'M_UNAUTHORIZED',
  'M_UNRECOGNIZED',
  'M_USER_LOCKED',
  'M_USER_SUSPENDED',
  'M_USER_DEACTIVATED',
])
