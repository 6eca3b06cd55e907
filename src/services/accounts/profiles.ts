import {
  MatrixError,
  badJson,
  forbidden,
  invalidParam,
  missingParam,
  notFound,
} from '../../protocol/errors.js'
import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import { fieldOf } from '../../protocol/profile-fields.js'
import type { Database } from '../../storage/database.js'
import type { ProfileRecord, ProfilesStore } from '../../storage/stores/profiles.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { JsonObject, JsonValue } from '../../util/json.js'
import type { AppserviceQueries } from '../appservices/appservice-queries.js'
import type { RemoteProfiles } from '../remote/remote-profiles.js'
import type { Requester } from './requester.js'
import { checkNotSuspended } from './suspension.js'

export interface ProfileOptions {
  readonly serverName: ServerName
  /** `require_auth_for_profile_requests`. */
  readonly requireAuth: boolean
  /** `limit_profile_requests_to_users_who_share_rooms`. */
  readonly onlySharedRooms: boolean
  /** `enable_set_displayname`. */
  readonly maySetDisplayName: boolean
  /** `enable_set_avatar_url`. */
  readonly maySetAvatarUrl: boolean
  /** `experimental_features.msc4069_profile_inhibit_propagation`. */
  readonly mayInhibitPropagation: boolean
  /** `allow_profile_lookup_over_federation`; false: other servers are told nothing. */
  readonly tellsServers?: boolean
}

/** What has changed: the name or the avatar, which memberships repeat, or another field. */
export interface ProfileChange {
  readonly userId: UserId
  readonly field: string
  readonly profile: ProfileRecord
  /** Whether the change is to appear in the user's memberships. */
  readonly propagate: boolean
  readonly requester: Requester
}

export interface ProfilesDependencies {
  readonly db: Database
  readonly users: UsersStore
  readonly profiles: ProfilesStore
  /** Whether two users are members of the same room. */
  readonly shareRoom: (a: UserId, b: UserId) => Promise<boolean>
  /** Called after the commit; what it starts must not fail the request. */
  readonly onProfileChanged: (change: ProfileChange) => void
  /** Throws `M_FORBIDDEN` for files that may not be avatars; without it, all may. */
  readonly checkAvatar?: ((uri: string) => Promise<void>) | undefined
  /** Without it, other servers cannot be asked. */
  readonly remoteProfiles?: RemoteProfiles | undefined
  /** Asks application services for users that they may yet have to make. */
  readonly queries?: Pick<AppserviceQueries, 'hasUser'> | undefined
  readonly options: ProfileOptions
}

const DISPLAY_NAME = 'displayname'
const AVATAR_URL = 'avatar_url'
const MAX_DISPLAY_NAME_LENGTH = 256
const MAX_AVATAR_URL_LENGTH = 1000
const MAX_KEY_BYTES = 255
const MAX_PROFILE_BYTES = 64 * 1024
/** https://spec.matrix.org/latest/appendices/#common-namespaced-identifier-grammar */
const KEY_GRAMMAR = /^[a-z][a-z0-9\-_.]*$/

/** Profiles. https://spec.matrix.org/latest/client-server-api/#profiles */
export class Profiles {
  readonly #deps: ProfilesDependencies

  constructor(deps: ProfilesDependencies) {
    this.#deps = deps
  }

  /**
   * The whole profile, absent fields left out. Throws `M_NOT_FOUND`, `M_FORBIDDEN`, `M_MISSING_TOKEN`, and 502 and 504
   * for users of servers that cannot be asked.
   */
  async get(requester: Requester | undefined, userId: UserId): Promise<JsonObject> {
    await this.#checkMayRead(requester, userId)
    const { remoteProfiles } = this.#deps
    if (remoteProfiles !== undefined && !this.#isLocal(userId)) return remoteProfiles.get(userId)
    return toJson(await this.#require(userId))
  }

  /**
   * The profile of a user of this server, or one field of it, for another server; a field that is not set is left out.
   * Throws `M_NOT_FOUND`, `M_FORBIDDEN`, `M_INVALID_PARAM` for users of other servers.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1queryprofile
   */
  async getForServer(userId: UserId, field: string | undefined): Promise<JsonObject> {
    if (this.#deps.options.tellsServers === false)
      throw forbidden('Profile lookup over federation is disabled')
    if (!this.#isLocal(userId)) throw invalidParam('User is not hosted on this homeserver')
    const profile = toJson(await this.#require(userId))
    if (field === undefined) return profile
    return Object.fromEntries(Object.entries(profile).filter(([name]) => name === field))
  }

  /** One field of a profile, as `fieldOf` gives it. Throws as `get` and `fieldOf`. */
  async getField(requester: Requester | undefined, userId: UserId, field: string): Promise<JsonValue> {
    checkKey(field)
    await this.#checkMayRead(requester, userId)
    const { remoteProfiles } = this.#deps
    if (remoteProfiles !== undefined && !this.#isLocal(userId)) {
      return remoteProfiles.getField(userId, field)
    }
    return fieldOf(toJson(await this.#require(userId)), field)
  }

  /**
   * Sets `input.body[input.field]`. `byAuthority`: also where users may not. Throws `M_FORBIDDEN` for profiles of others,
   * `M_MISSING_PARAM`, `M_BAD_JSON`, `M_INVALID_PARAM`, `M_KEY_TOO_LARGE`, `M_PROFILE_TOO_LARGE`, `M_USER_SUSPENDED`,
   * `M_GUEST_ACCESS_FORBIDDEN`.
   */
  async setField(
    requester: Requester,
    userId: UserId,
    input: { field: string; body: Readonly<JsonObject>; propagate?: boolean; byAuthority?: boolean },
  ): Promise<void> {
    const { field, body, byAuthority = false } = input
    checkKey(field)
    const value = Object.hasOwn(body, field) ? body[field] : undefined
    if (value === undefined) throw missingParam(field)
    checkValue(field, value)
    const propagate = this.#mustPropagate(input)
    await this.#change(requester, userId, { field, value, propagate, byAuthority })
  }

  /** Removes a field; one that is not set does no harm. `byAuthority` as for `setField`; throws as that. */
  async deleteField(
    requester: Requester,
    userId: UserId,
    input: { field: string; propagate?: boolean; byAuthority?: boolean },
  ): Promise<void> {
    const { field, byAuthority = false } = input
    checkKey(field)
    const propagate = this.#mustPropagate(input)
    await this.#change(requester, userId, { field, value: undefined, propagate, byAuthority })
  }

  /** Which fields users may set, for the capabilities. */
  listForbiddenFields(): string[] {
    const { maySetDisplayName, maySetAvatarUrl } = this.#deps.options
    return [...(maySetDisplayName ? [] : [DISPLAY_NAME]), ...(maySetAvatarUrl ? [] : [AVATAR_URL])]
  }

  async #change(
    requester: Requester,
    userId: UserId,
    change: { field: string; value: JsonValue | undefined; propagate: boolean; byAuthority?: boolean },
  ): Promise<void> {
    this.#checkMayChange(requester, userId, change.field)
    const { value } = change
    if (change.field === AVATAR_URL && typeof value === 'string' && value !== '') {
      await this.#deps.checkAvatar?.(value)
    }
    const byOther = requester.userId !== userId || change.byAuthority === true
    const profile = await this.#deps.db.write('change_profile', async (tx) => {
      if (!(await this.#deps.users.exists(tx, userId))) throw notFound('No such user')
      const before = await this.#deps.profiles.get(tx, userId)
      const old = before ?? { displayName: undefined, avatarUrl: undefined, fields: {} }
      if (!byOther) this.#checkFieldIsFree(old, change.field)
      const next = withField(old, change.field, change.value)
      if (change.value !== undefined && byteLength(next) > MAX_PROFILE_BYTES) {
        throw new MatrixError('M_PROFILE_TOO_LARGE', 'The profile would be larger than 64 KiB')
      }
      const isSame = before !== undefined && JSON.stringify(toJson(next)) === JSON.stringify(toJson(old))
      if (isSame) return undefined
      await this.#deps.profiles.put(tx, userId, next)
      return next
    })
    if (profile === undefined) return
    const { field, propagate } = change
    this.#deps.onProfileChanged({ userId, field, profile, propagate, requester })
  }

  #mustPropagate(input: { propagate?: boolean }): boolean {
    return (input.propagate ?? true) || !this.#deps.options.mayInhibitPropagation
  }

  #checkMayChange(requester: Requester, userId: UserId, field: string): void {
    if (requester.isGuest && field !== DISPLAY_NAME) {
      throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may only change their display name')
    }
    if (!this.#isLocal(userId) || (requester.userId !== userId && !requester.isAdmin)) {
      throw forbidden('The profiles of others cannot be changed')
    }
    checkNotSuspended(requester)
  }

  /** Where users may not change a name or an avatar, they may still give themselves a first one. */
  #checkFieldIsFree(profile: ProfileRecord, field: string): void {
    const { maySetDisplayName, maySetAvatarUrl } = this.#deps.options
    const isFixed =
      (field === DISPLAY_NAME && !maySetDisplayName && profile.displayName !== undefined) ||
      (field === AVATAR_URL && !maySetAvatarUrl && profile.avatarUrl !== undefined)
    if (isFixed) throw forbidden('Profile modification is not permitted')
  }

  async #checkMayRead(requester: Requester | undefined, userId: UserId): Promise<void> {
    const { requireAuth, onlySharedRooms } = this.#deps.options
    if (!requireAuth || requester?.userId === userId) return
    if (requester === undefined) throw new MatrixError('M_MISSING_TOKEN', 'Missing access token')
    if (!onlySharedRooms || requester.isAdmin) return
    if (!(await this.#deps.shareRoom(requester.userId, userId))) throw forbidden("Profile isn't available")
  }

  #isLocal(userId: UserId): boolean {
    return serverNameOf(userId) === this.#deps.options.serverName
  }

  async #require(userId: UserId): Promise<ProfileRecord> {
    if (!this.#isLocal(userId)) throw notFound('Profile not found')
    const { db, profiles, queries } = this.#deps
    let profile = await profiles.get(db.reader, userId)
    // A service that says it has the user has made the account by then.
    if (profile === undefined && (await queries?.hasUser(userId))) {
      profile = await profiles.get(db.reader, userId)
    }
    if (profile === undefined) throw notFound('Profile not found')
    return profile
  }
}

function checkKey(field: string): void {
  if (Buffer.byteLength(field) > MAX_KEY_BYTES) {
    throw new MatrixError('M_KEY_TOO_LARGE', `A profile field's name may have ${MAX_KEY_BYTES} bytes`)
  }
  if (!KEY_GRAMMAR.test(field)) throw invalidParam('Invalid profile key')
}

function checkValue(field: string, value: JsonValue): void {
  if (field === DISPLAY_NAME) {
    if (typeof value !== 'string') throw badJson('displayname must be a string')
    if (Array.from(value).length > MAX_DISPLAY_NAME_LENGTH) {
      throw invalidParam(`A display name may have ${MAX_DISPLAY_NAME_LENGTH} characters`)
    }
  } else if (field === AVATAR_URL) {
    if (typeof value !== 'string') throw badJson('avatar_url must be a string')
    // Clients do set URLs of other kinds; nobody fetches them for it, so that they do no harm.
    if (Array.from(value).length > MAX_AVATAR_URL_LENGTH) {
      throw invalidParam(`An avatar URL may have ${MAX_AVATAR_URL_LENGTH} characters`)
    }
  } else if (field === 'm.tz' && typeof value !== 'string') {
    throw badJson('m.tz must be a string')
  }
}

/** An empty name or avatar is none. */
function withField(profile: ProfileRecord, field: string, value: JsonValue | undefined): ProfileRecord {
  if (field === DISPLAY_NAME) return { ...profile, displayName: textOrNone(value) }
  if (field === AVATAR_URL) return { ...profile, avatarUrl: textOrNone(value) }
  const others = Object.entries(profile.fields).filter(([name]) => name !== field)
  return {
    ...profile,
    fields: Object.fromEntries(value === undefined ? others : [...others, [field, value]]),
  }
}

function textOrNone(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function toJson(profile: ProfileRecord): JsonObject {
  return {
    ...profile.fields,
    ...(profile.displayName === undefined ? {} : { [DISPLAY_NAME]: profile.displayName }),
    ...(profile.avatarUrl === undefined ? {} : { [AVATAR_URL]: profile.avatarUrl }),
  }
}

function byteLength(profile: ProfileRecord): number {
  return Buffer.byteLength(JSON.stringify(toJson(profile)))
}
