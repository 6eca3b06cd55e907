import { MatrixError } from '../../protocol/errors.js'
import type { Requester } from './requester.js'

/**
 * Throws `M_USER_SUSPENDED` for suspended users.
 * https://spec.matrix.org/latest/client-server-api/#account-suspension
 */
export function checkNotSuspended(requester: Pick<Requester, 'isSuspended'>): void {
  if (requester.isSuspended) {
    throw new MatrixError('M_USER_SUSPENDED', 'You cannot perform this action while suspended.')
  }
}
