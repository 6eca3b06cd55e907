import { MatrixError, notFound } from '../../protocol/errors.js'
import { fitsBytes, MAX_ID_BYTES, userIdOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database, Query, Tx } from '../../storage/database.js'
import type { ProfileRecord, ProfilesStore } from '../../storage/stores/profiles.js'
import type { PushersStore } from '../../storage/stores/pushers.js'
import type { ThreepidsStore } from '../../storage/stores/threepids.js'
import type { UserRecord, UsersStore } from '../../storage/stores/users.js'
import type { Clock } from '../../util/clock.js'
import type { AccessTokens } from '../accounts/access-tokens.js'
import type { IdentityBindings } from '../accounts/identity-bindings.js'
import type { Profiles } from '../accounts/profiles.js'
import { actingFor } from '../accounts/requester.js'
import type { CrossSigning } from '../devices/cross-signing.js'
import type { AccountDeactivation } from '../journeys/account-deactivation.js'
import type { AccountRegistration } from '../journeys/account-registration.js'

/** What an account is to be; what is absent stays as it is, null is removed. */
export interface AccountProvision {
  readonly displayName?: string | null | undefined
  readonly avatarUrl?: string | null | undefined
  /** All there are to be. */
  readonly emails?: readonly string[] | undefined
  readonly isLocked?: boolean | undefined
}

export interface DelegatedAccountsDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly users: UsersStore
  readonly profiles: ProfilesStore
  readonly threepids: ThreepidsStore
  readonly pushers: Pick<PushersStore, 'deleteForAddresses'>
  readonly tokens: Pick<AccessTokens, 'forgetUser'>
  readonly profileFields: Pick<Profiles, 'setField'>
  readonly registration: Pick<AccountRegistration, 'checkFree' | 'registerDirectly'>
  readonly deactivation: Pick<AccountDeactivation, 'deactivate'>
  readonly identityBindings: Pick<IdentityBindings, 'tryUnbind' | 'unbindAll'>
  readonly crossSigning: Pick<CrossSigning, 'allowReplacement' | 'isSetUp'>
  /** Called when somebody's messages are not to be hidden any more. */
  readonly onErasureChanged: () => void
  readonly serverName: ServerName
}

const EMAIL = 'email'

/**
 * Accounts as the authentication service wants them that has them in its hands, by localpart. It may repeat what it has
 * asked for. All throw `M_NOT_FOUND` for users that are not there, unless they say otherwise.
 */
export class DelegatedAccounts {
  readonly #deps: DelegatedAccountsDependencies

  constructor(deps: DelegatedAccountsDependencies) {
    this.#deps = deps
  }

  async show(localpart: string): Promise<{ user: UserRecord; profile: ProfileRecord | undefined }> {
    const { db, profiles } = this.#deps
    return db.read('delegated_account', async (q) => {
      const user = await this.#require(q, localpart)
      return { user, profile: await profiles.get(q, user.userId) }
    })
  }

  /** Gives the user's ID. */
  async requireUser(localpart: string): Promise<UserId> {
    return (await this.#require(this.#deps.db.reader, localpart)).userId
  }

  /**
   * Throws `M_INVALID_USERNAME` also for names with upper-case letters, which would become another, `M_EXCLUSIVE`,
   * `M_USER_IN_USE`.
   */
  async checkAvailable(localpart: string): Promise<void> {
    if (/[A-Z]/.test(localpart)) {
      throw new MatrixError('M_INVALID_USERNAME', 'User names have no upper-case letters')
    }
    await this.#deps.registration.checkFree(localpart)
  }

  /** Makes an account, or one that is there so. Gives whether it is new. Throws what the name is refused with. */
  async provision(localpart: string, wish: AccountProvision): Promise<boolean> {
    const { db, users, registration } = this.#deps
    const known = await this.#find(db.reader, localpart)
    const isNew = known === undefined
    if (isNew) {
      await this.checkAvailable(localpart)
      const { userId } = await registration.registerDirectly({
        userId: userIdOf(localpart, this.#deps.serverName),
        username: undefined,
        password: undefined,
        displayName: wish.displayName ?? undefined,
        inhibitLogin: true,
      })
      await this.#setAvatar(userId, wish)
    } else {
      await this.#setDisplayName(known.userId, wish)
      await this.#setAvatar(known.userId, wish)
    }
    const user = known ?? (await this.#require(db.reader, localpart))
    if (wish.emails !== undefined) await this.#setEmails(user.userId, wish.emails)
    const { isLocked } = wish
    if (isLocked !== undefined && isLocked !== user.isLocked) {
      await db.write('lock_delegated_account', async (tx) => {
        await users.setFlag(tx, user.userId, 'isLocked', isLocked)
        this.#deps.tokens.forgetUser(tx, user.userId)
      })
    }
    return isNew
  }

  /** Null removes it. */
  async setDisplayName(localpart: string, displayName: string | null): Promise<void> {
    await this.#setDisplayName(await this.requireUser(localpart), { displayName })
  }

  /** As a user does it who goes: see `AccountDeactivation`. Rooms are left afterwards. */
  async delete(localpart: string, options: { erase: boolean }): Promise<void> {
    const userId = await this.requireUser(localpart)
    await this.#deps.deactivation.deactivate(userId, options)
    await this.#deps.identityBindings.unbindAll(userId, undefined)
  }

  /** Lets somebody back in who has gone; rooms and what else they had do not come back. */
  async reactivate(localpart: string): Promise<void> {
    const { db, users, profiles, tokens } = this.#deps
    await db.write('reactivate_delegated_account', async (tx) => {
      const { userId } = await this.#require(tx, localpart)
      await users.reactivate(tx, userId, undefined)
      // They leave no rooms any more that they may join from now on.
      await users.deletePendingDeactivation(tx, userId)
      if ((await profiles.get(tx, userId)) === undefined) {
        await profiles.put(tx, userId, { displayName: undefined, avatarUrl: undefined, fields: {} })
      }
      tokens.forgetUser(tx, userId)
      tx.afterCommit(() => this.#deps.onErasureChanged())
    })
  }

  /** For ten minutes, the user may replace their cross-signing keys. Nothing has to be allowed to who has none. */
  async allowKeyReset(localpart: string): Promise<void> {
    const { db, crossSigning } = this.#deps
    const userId = await this.requireUser(localpart)
    if (await crossSigning.isSetUp(db.reader, userId)) await crossSigning.allowReplacement(userId)
  }

  async #require(q: Query, localpart: string): Promise<UserRecord> {
    const user = await this.#find(q, localpart)
    if (user === undefined) throw notFound('User not found')
    return user
  }

  async #find(q: Query, localpart: string): Promise<UserRecord | undefined> {
    const userId = userIdOf(localpart, this.#deps.serverName)
    // What is no user ID is nobody's, and nothing that a database should be asked for.
    if (localpart === '' || /[:\0\p{Cs}]/u.test(localpart) || !fitsBytes(userId, MAX_ID_BYTES))
      return undefined
    return this.#deps.users.get(q, userId)
  }

  async #setDisplayName(userId: UserId, { displayName }: AccountProvision): Promise<void> {
    if (displayName !== undefined) await this.#setField(userId, 'displayname', displayName ?? '')
  }

  async #setAvatar(userId: UserId, { avatarUrl }: AccountProvision): Promise<void> {
    if (avatarUrl !== undefined) await this.#setField(userId, 'avatar_url', avatarUrl ?? '')
  }

  /** As the user, whom the rules for users do not bind here. */
  async #setField(userId: UserId, field: 'displayname' | 'avatar_url', value: string): Promise<void> {
    const { db, users, profileFields } = this.#deps
    const user = await users.get(db.reader, userId)
    const self = {
      ...actingFor({ userId, isGuest: false }),
      isShadowBanned: user?.isShadowBanned ?? false,
    }
    await profileFields.setField(self, userId, { field, body: { [field]: value }, byAuthority: true })
  }

  /**
   * The service has had them proven. It is right also where an address was somebody else's, who is sent no notifications
   * there any more.
   */
  async #setEmails(userId: UserId, wanted: readonly string[]): Promise<void> {
    const { db, identityBindings } = this.#deps
    const addresses = [...new Set(wanted.map((address) => address.toLowerCase()))]
    const gone = await db.write('set_delegated_emails', (tx) => this.#replaceEmails(tx, userId, addresses))
    await Promise.all(
      gone.map((address) => identityBindings.tryUnbind(userId, { medium: EMAIL, address }, undefined)),
    )
  }

  /** Gives the addresses that were the user's. */
  async #replaceEmails(tx: Tx, userId: UserId, wanted: readonly string[]): Promise<string[]> {
    const { threepids, pushers, clock } = this.#deps
    const listed = await threepids.listForUser(tx, userId)
    const held = listed.filter(({ medium }) => medium === EMAIL).map(({ address }) => address)
    const gone = held.filter((address) => !wanted.includes(address))
    const added = wanted.filter((address) => !held.includes(address))
    const now = clock.now()
    const records = added.map((address) => ({ medium: EMAIL, address, validatedTs: now, addedTs: now }))
    const ofOthers = await threepids.listOwned(tx, records)
    await threepids.deleteMany(tx, userId, EMAIL, gone)
    await threepids.takeMany(tx, userId, records)
    await pushers.deleteForAddresses(tx, [...gone.map((address) => ({ userId, address })), ...ofOthers])
    return gone
  }
}
