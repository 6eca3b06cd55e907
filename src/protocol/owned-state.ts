import { parseUserId, type UserId } from './ids.js'

/** No server name has an underscore: the first after it ends the ID. */
const OWNED = /^(@[^:]*:[^_]+)(?:_.*)?$/s

/**
 * Whose piece of state a key names that begins with `@`: a user ID, or one with `_` and anything after it. Undefined
 * where it begins with no user ID. https://github.com/matrix-org/matrix-spec-proposals/pull/3757
 */
export function ownerOfStateKey(stateKey: string): UserId | undefined {
  const id = OWNED.exec(stateKey)?.[1]
  return id === undefined ? undefined : parseUserId(id)
}
