import type { JsonObject, JsonValue } from '../util/json.js'
import { notFound } from './errors.js'

/** The fields that profiles have had from the beginning, texts both. */
export const NAME_AND_AVATAR: ReadonlySet<string> = new Set(['displayname', 'avatar_url'])

/**
 * One field of a profile. `M_NOT_FOUND` for a field that is not set, but null for a name or an avatar: these could be
 * asked for long before the others, clients take 404 for an account that is not there, and no server answers so.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3profileuseridkeyname
 */
export function fieldOf(profile: Readonly<JsonObject>, field: string): JsonValue {
  const value = Object.hasOwn(profile, field) ? profile[field] : undefined
  if (value !== undefined) return value
  if (NAME_AND_AVATAR.has(field)) return null
  throw notFound('This profile has no such field')
}
