import { MatrixError, missingParam } from '../../protocol/errors.js'

/** Whom somebody says they are. https://spec.matrix.org/latest/client-server-api/#identifier-types */
export type UserIdentifier =
  | { readonly type: 'user'; readonly user: string }
  | { readonly type: 'threepid'; readonly medium: string; readonly address: string }

/** The fields of a body that say whom it is about; the last three are deprecated. */
export interface IdentifierFields {
  readonly identifier?: Readonly<Record<string, unknown>> | undefined
  readonly user?: string | undefined
  readonly medium?: string | undefined
  readonly address?: string | undefined
}

/**
 * Reads the identifier of a login or of a password stage: an `identifier` object, or the deprecated `user`, or `medium`
 * and `address`. Throws `M_MISSING_PARAM`, `M_UNKNOWN` for unknown types.
 */
export function parseUserIdentifier(body: IdentifierFields): UserIdentifier {
  const identifier = body.identifier
  if (identifier === undefined) {
    if (body.user !== undefined) return { type: 'user', user: body.user }
    if (body.medium !== undefined && body.address !== undefined) {
      return { type: 'threepid', medium: body.medium, address: body.address }
    }
    throw missingParam('identifier')
  }
  switch (identifier['type']) {
    case 'm.id.user':
      return { type: 'user', user: requireString(identifier, 'user') }
    case 'm.id.thirdparty':
      return {
        type: 'threepid',
        medium: requireString(identifier, 'medium'),
        address: requireString(identifier, 'address'),
      }
    default:
      throw new MatrixError('M_UNKNOWN', 'Unknown login identifier type', { status: 400 })
  }
}

/** By which attempts of somebody are counted who may have no account. */
export function identifierKey(identifier: UserIdentifier): string {
  return identifier.type === 'user'
    ? identifier.user.slice(0, 255).toLowerCase()
    : `${identifier.medium}:${identifier.address}`.slice(0, 255).toLowerCase()
}

function requireString(object: Readonly<Record<string, unknown>>, name: string): string {
  const value = object[name]
  if (typeof value !== 'string') throw missingParam(`identifier.${name}`)
  return value
}
