import { MatrixError, forbidden, notFound } from '../../protocol/errors.js'
import { FederationError } from './federation-error.js'

const MAX_MESSAGE_LENGTH = 500

/**
 * What a client is told when another server does not say what was asked of it: 404 `M_NOT_FOUND` with `absent` where that
 * server does not know, `M_FORBIDDEN` where it does not want to say, else that it could not be asked. Rethrows what is no
 * answer of another server.
 */
export function lookupFailure(error: unknown, absent: string): MatrixError {
  if (error instanceof MatrixError) return error
  if (!(error instanceof FederationError)) throw error
  const { status, errcode, body } = error
  if (status === 404 || errcode === 'M_NOT_FOUND') return notFound(absent)
  if (status === 403 || errcode === 'M_FORBIDDEN') {
    const said = body?.['error']
    return forbidden(
      typeof said === 'string' ? said.slice(0, MAX_MESSAGE_LENGTH) : 'The other server refuses',
    )
  }
  const isTimeout = error.kind === 'unreachable' && /time/i.test(error.message)
  return new MatrixError(isTimeout ? 'M_CONNECTION_TIMEOUT' : 'M_CONNECTION_FAILED', error.message)
}
