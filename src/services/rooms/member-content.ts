import { badJson } from '../../protocol/errors.js'
import { NAME_AND_AVATAR } from '../../protocol/profile-fields.js'
import type { Membership } from '../../storage/stores/room-members.js'
import type { ProfileRecord } from '../../storage/stores/profiles.js'
import type { JsonObject } from '../../util/json.js'

const MAX_DISPLAY_NAME_LENGTH = 256
const MAX_AVATAR_URL_LENGTH = 1000

/** What the server puts into memberships; clients that read one and send it back do not say these. */
const SERVER_KEYS: ReadonlySet<string> = new Set([
  'join_authorised_via_users_server',
  'third_party_invite',
  'third_party_signed',
  'membership',
])

/** The part of a client's content that a membership may have. Throws `M_BAD_JSON` for names that are none or too long. */
export function givenContent(content: JsonObject, options: { keepsProfile: boolean }): JsonObject {
  checkText(content, 'displayname', MAX_DISPLAY_NAME_LENGTH)
  checkText(content, 'avatar_url', MAX_AVATAR_URL_LENGTH)
  return Object.fromEntries(
    Object.entries(content).filter(
      ([key]) => !SERVER_KEYS.has(key) && (options.keepsProfile || !NAME_AND_AVATAR.has(key)),
    ),
  )
}

/**
 * The content of a membership: what is given, and the user's profile where nothing is given for it.
 * https://spec.matrix.org/latest/client-server-api/#mroommember
 */
export function memberContent(
  membership: Membership,
  given: JsonObject,
  profile: ProfileRecord | undefined,
): JsonObject {
  return {
    ...(profile?.displayName !== undefined && { displayname: profile.displayName }),
    ...(profile?.avatarUrl !== undefined && { avatar_url: profile.avatarUrl }),
    ...given,
    membership,
  }
}

/** Nothing and null say that there is none. */
function checkText(content: JsonObject, key: string, max: number): void {
  const value = content[key]
  if (value === undefined || value === null) return
  if (typeof value !== 'string') throw badJson(`${key} must be a string`)
  if (Array.from(value).length > max) throw badJson(`${key} may have ${max} characters`)
}
