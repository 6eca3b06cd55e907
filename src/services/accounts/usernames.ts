import { MatrixError } from '../../protocol/errors.js'
import { fitsBytes, MAX_ID_BYTES, userIdOf, type ServerName, type UserId } from '../../protocol/ids.js'

/** https://spec.matrix.org/latest/appendices/#user-identifiers */
const LOCALPART = /^[a-z0-9._=\-/+]+$/

export interface UsernameRules {
  readonly serverName: ServerName
  readonly allowUnderscorePrefix: boolean
}

/**
 * The user ID that somebody who registers as `username` gets. Upper-case letters become lower-case; nothing else is
 * changed. Throws `M_INVALID_USERNAME`.
 */
export function userIdForUsername(username: string, rules: UsernameRules): UserId {
  const localpart = lowerCaseAscii(username)
  if (!LOCALPART.test(localpart)) {
    throw invalidUsername('User names can only contain characters a-z, 0-9, or _-./=+')
  }
  if (localpart.startsWith('_') && !rules.allowUnderscorePrefix) {
    throw invalidUsername('User names may not begin with _')
  }
  if (/^[0-9]+$/.test(localpart)) throw invalidUsername('Numeric user names are reserved for guest users')
  const userId = userIdOf(localpart, rules.serverName)
  if (!fitsBytes(userId, MAX_ID_BYTES)) {
    throw invalidUsername(
      `User names may not be longer than ${MAX_ID_BYTES} characters, server name included`,
    )
  }
  return userId
}

/**
 * The user IDs that somebody can mean who logs in as `user` (a user ID or a localpart), the likeliest first: as written,
 * then in lower case. Empty for users of another server and for what cannot be a user ID.
 */
export function userIdsForLogin(user: string, serverName: ServerName): UserId[] {
  let localpart = user
  if (user.startsWith('@')) {
    const colon = user.indexOf(':')
    if (colon === -1 || user.slice(colon + 1) !== serverName) return []
    localpart = user.slice(1, colon)
  }
  if (localpart === '' || localpart.includes(':')) return []
  if (!fitsBytes(userIdOf(localpart, serverName), MAX_ID_BYTES)) return []
  return [...new Set([localpart, lowerCaseAscii(localpart)])].map((part) => userIdOf(part, serverName))
}

function lowerCaseAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

function invalidUsername(message: string): MatrixError {
  return new MatrixError('M_INVALID_USERNAME', message)
}
