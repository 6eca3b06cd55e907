import { invalidParam, MatrixError } from '../../protocol/errors.js'
import { localpartOf, serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database, Query } from '../../storage/database.js'
import type { ExternalId, ExternalIdsStore } from '../../storage/stores/external-ids.js'
import type { ThreepidRecord, ThreepidsStore } from '../../storage/stores/threepids.js'
import type { UserRecord, UsersStore } from '../../storage/stores/users.js'
import type { Clock } from '../../util/clock.js'
import type { AccessTokens } from '../accounts/access-tokens.js'
import type { Passwords } from '../accounts/passwords.js'
import type { Profiles } from '../accounts/profiles.js'
import { actingFor, type Requester } from '../accounts/requester.js'
import { userIdForUsername } from '../accounts/usernames.js'
import type { AccountRegistration } from '../journeys/account-registration.js'
import type { AccountAdministration } from './account-administration.js'

type ThreepidKey = Pick<ThreepidRecord, 'medium' | 'address'>

/** What an account is to be; what is absent stays as it is. */
export interface AccountWish {
  readonly password?: string | undefined
  readonly logoutDevices: boolean
  /** `''` removes it. */
  readonly displayName?: string | undefined
  /** `''` removes it. */
  readonly avatarUrl?: string | undefined
  /** All there are to be. */
  readonly threepids?: readonly { readonly medium: string; readonly address: string }[] | undefined
  /** All there are to be. */
  readonly externalIds?: readonly ExternalId[] | undefined
  readonly isAdmin?: boolean | undefined
  readonly isDeactivated?: boolean | undefined
  readonly isLocked?: boolean | undefined
  /** Null: of no kind. */
  readonly userType?: string | null | undefined
}

export interface AccountUpsertsDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly users: UsersStore
  readonly threepids: ThreepidsStore
  readonly externalIds: ExternalIdsStore
  readonly tokens: Pick<AccessTokens, 'forgetUser'>
  readonly passwords: Passwords
  readonly profiles: Pick<Profiles, 'setField' | 'deleteField'>
  readonly registration: Pick<AccountRegistration, 'registerDirectly'>
  readonly administration: AccountAdministration
  readonly serverName: ServerName
  /** The kinds that there may be. */
  readonly userTypes: readonly string[]
}

/** Makes accounts as an administrator describes them, or makes those that are there so. */
export class AccountUpserts {
  readonly #deps: AccountUpsertsDependencies

  constructor(deps: AccountUpsertsDependencies) {
    this.#deps = deps
  }

  /**
   * Gives whether the account is new. Throws `M_INVALID_PARAM` for users of other servers and unknown kinds, 400
   * `M_UNKNOWN` for administrators who would take their own rights and for what contradicts itself,
   * `M_THREEPID_IN_USE`, 409 `M_UNKNOWN` for IDs at other services that are somebody else's, and what the name or the
   * password is refused with. Nothing is written then.
   */
  async put(requester: Requester, userId: UserId, wish: AccountWish): Promise<boolean> {
    const { db, users, passwords, registration } = this.#deps
    this.#check(requester, userId, wish)
    const known = await users.get(db.reader, userId)
    if (wish.password !== undefined) passwords.checkNew(wish.password)
    if (known === undefined) this.#checkNewName(userId)
    // Before anything is written: no account is made that lacks them, and none is changed by half.
    await this.#checkFree(db.reader, userId, canonicalOf(wish.threepids ?? []))
    await this.#checkExternalIdsFree(userId, wish.externalIds ?? [])
    if (known === undefined) {
      await registration.registerDirectly({
        userId,
        username: undefined,
        password: wish.password,
        isAdmin: wish.isAdmin ?? false,
        userType: wish.userType ?? undefined,
        displayName: wish.displayName === '' ? undefined : wish.displayName,
        inhibitLogin: true,
      })
      await this.#change(userId, { ...wish, password: undefined, displayName: undefined, isAdmin: undefined })
    } else {
      await this.#modify(known, wish)
    }
    return known === undefined
  }

  #check(
    requester: Requester,
    userId: UserId,
    { isAdmin, isDeactivated, userType, password }: AccountWish,
  ): void {
    const { serverName, userTypes } = this.#deps
    if (serverNameOf(userId) !== serverName)
      throw invalidParam('This endpoint can only be used with local users')
    if (isAdmin === false && requester.userId === userId) throw refused('You may not demote yourself.')
    if (typeof userType === 'string' && !userTypes.includes(userType)) throw invalidParam('Invalid user type')
    if (isDeactivated === true && password !== undefined) {
      throw refused('An account cannot be deactivated and get a password')
    }
  }

  /** Accounts of old may have other names; new ones have those that people may register. */
  #checkNewName(userId: UserId): void {
    const rules = { serverName: this.#deps.serverName, allowUnderscorePrefix: true }
    if (userIdForUsername(localpartOf(userId), rules) === userId) return
    throw new MatrixError('M_INVALID_USERNAME', 'User names have no upper-case letters')
  }

  async #modify(known: UserRecord, wish: AccountWish): Promise<void> {
    if (!known.isDeactivated) {
      await this.#change(known.userId, wish)
      return
    }
    if (wish.isDeactivated !== false) {
      if (wish.isDeactivated === undefined) throw refused('The account is deactivated')
      return
    }
    if (wish.password === undefined) throw refused('Must provide a password to re-activate an account.')
    const { db, users, passwords, tokens } = this.#deps
    const passwordHash = await passwords.hash(wish.password)
    await db.write('reactivate_account', async (tx) => {
      await users.reactivate(tx, known.userId, passwordHash)
      tokens.forgetUser(tx, known.userId)
    })
    await this.#change(known.userId, { ...wish, password: undefined })
  }

  async #change(userId: UserId, wish: AccountWish): Promise<void> {
    const { administration } = this.#deps
    const { password, logoutDevices, isAdmin, isLocked } = wish
    await this.#setProfile(userId, wish)
    if (wish.threepids !== undefined) await this.#setThreepids(userId, wish.threepids)
    if (wish.externalIds !== undefined) await this.#setExternalIds(userId, wish.externalIds)
    if (isAdmin !== undefined) await administration.setFlag(userId, 'isAdmin', isAdmin)
    if (isLocked !== undefined) await administration.setFlag(userId, 'isLocked', isLocked)
    const { userType } = wish
    if (userType !== undefined) {
      const { db, users } = this.#deps
      await db.write('set_user_type', (tx) => users.setUserType(tx, userId, userType ?? undefined))
    }
    if (password !== undefined) await administration.setPassword(userId, password, { logoutDevices })
    if (wish.isDeactivated === true) await administration.deactivate(userId, { erase: false })
  }

  async #setExternalIds(userId: UserId, ids: readonly ExternalId[]): Promise<void> {
    const { db, externalIds } = this.#deps
    const isSet = await db.write('set_external_ids', (tx) => externalIds.replace(tx, userId, ids))
    if (!isSet) throw externalIdTaken()
  }

  async #checkExternalIdsFree(userId: UserId, ids: readonly ExternalId[]): Promise<void> {
    const { db, externalIds } = this.#deps
    if (await externalIds.isAnyTaken(db.reader, userId, ids)) throw externalIdTaken()
  }

  async #setProfile(userId: UserId, { displayName, avatarUrl }: AccountWish): Promise<void> {
    const { profiles } = this.#deps
    const self = actingFor({ userId, isGuest: false })
    for (const [field, value] of [
      ['displayname', displayName],
      ['avatar_url', avatarUrl],
    ] as const) {
      if (value === undefined) continue
      if (value === '') await profiles.deleteField(self, userId, { field, byAuthority: true })
      else await profiles.setField(self, userId, { field, body: { [field]: value }, byAuthority: true })
    }
  }

  async #checkFree(q: Query, userId: UserId, wanted: readonly ThreepidKey[]): Promise<void> {
    const owned = await this.#deps.threepids.listOwned(q, wanted)
    if (owned.every((threepid) => threepid.userId === userId)) return
    throw new MatrixError('M_THREEPID_IN_USE', 'Third-party identifier is already in use')
  }

  async #setThreepids(userId: UserId, wanted: NonNullable<AccountWish['threepids']>): Promise<void> {
    const { db, clock, threepids } = this.#deps
    const canonical = canonicalOf(wanted)
    await db.write('replace_threepids', async (tx) => {
      const held = await threepids.listForUser(tx, userId)
      await this.#checkFree(tx, userId, canonical)
      const now = clock.now()
      const isSame = (a: ThreepidKey, b: ThreepidKey): boolean =>
        a.medium === b.medium && a.address === b.address
      await threepids.deleteForUser(tx, userId)
      await threepids.insertMany(
        tx,
        userId,
        canonical.map(
          (threepid) =>
            held.find((one) => isSame(one, threepid)) ?? { ...threepid, validatedTs: now, addedTs: now },
        ),
      )
    })
  }
}

function canonicalOf(threepids: readonly ThreepidKey[]): ThreepidKey[] {
  return threepids.map(({ medium, address }) => ({
    medium,
    address: medium === 'email' ? address.toLowerCase() : address,
  }))
}

function refused(message: string): MatrixError {
  return new MatrixError('M_UNKNOWN', message, { status: 400 })
}

function externalIdTaken(): MatrixError {
  return new MatrixError('M_UNKNOWN', 'External id is already in use.', { status: 409 })
}
