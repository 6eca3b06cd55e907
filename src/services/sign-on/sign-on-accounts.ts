import { MatrixError } from '../../protocol/errors.js'
import { userIdOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { ExternalId, ExternalIdsStore } from '../../storage/stores/external-ids.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { UserRecord, UsersStore } from '../../storage/stores/users.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Profiles } from '../accounts/profiles.js'
import { actingFor } from '../accounts/requester.js'
import type { UsageLimits } from '../accounts/usage-limits.js'
import type { AppserviceRegistry } from '../appservices/appservice-registry.js'
import type { AccountRegistration } from '../journeys/account-registration.js'
import type { ExternalIdentity, IdentityProvider } from './identity-provider.js'
import { candidateGroups } from './localparts.js'
import type { ProfilePictures } from './profile-pictures.js'
import { SignOnFailure } from './sign-on-failure.js'

export interface SignOnAccountsDependencies {
  readonly db: Database
  readonly users: Pick<UsersStore, 'get' | 'listAnyCase'>
  readonly externalIds: Pick<ExternalIdsStore, 'findOwner' | 'insert' | 'list'>
  readonly registration: Pick<AccountRegistration, 'registerSignedOn' | 'checkFree'>
  readonly profileRows: Pick<ProfilesStore, 'get'>
  readonly profiles: Pick<Profiles, 'setField'>
  readonly pictures: Pick<ProfilePictures, 'adopt'>
  /** Undefined: any number of people may use the server. */
  readonly usage: Pick<UsageLimits, 'checkNewcomer'> | undefined
  readonly namespaces: Pick<AppserviceRegistry, 'isTaken'>
  readonly logger: Pick<Logger, 'info' | 'warn'>
  readonly serverName: ServerName
}

/** What an account is made of. */
export interface NewAccount {
  readonly localpart: string
  readonly displayName: string | undefined
  readonly emails: readonly string[]
  readonly pictureUrl: string | undefined
  /** Of the policy that they have agreed to. */
  readonly consentVersion: string | undefined
}

/** The accounts of people who sign on at other services. */
export class SignOnAccounts {
  readonly #deps: SignOnAccountsDependencies

  constructor(deps: SignOnAccountsDependencies) {
    this.#deps = deps
  }

  /** The account that the service's person has here. */
  async findKnown(provider: Pick<IdentityProvider, 'id'>, externalId: string): Promise<UserId | undefined> {
    const { db, externalIds } = this.#deps
    return externalIds.findOwner(db.reader, { authProvider: provider.id, externalId })
  }

  /**
   * The account of the same name of somebody who has not been here before, which becomes theirs: for services whose names
   * are those of this server. Undefined where there is none. Throws `mapping_error` where it cannot be theirs.
   */
  async adopt(provider: IdentityProvider, identity: ExternalIdentity): Promise<UserId | undefined> {
    const { db, users, externalIds } = this.#deps
    if (!provider.adoptsExistingUsers || identity.localpart === undefined) return undefined
    const { localpart } = identity
    const added: ExternalId = { authProvider: provider.id, externalId: identity.externalId }
    return db.write('adopt_account', async (tx) => {
      const userId = await this.#findByName(tx, localpart)
      const user = userId && (await users.get(tx, userId))
      if (userId === undefined || user === undefined) return undefined
      // Nothing changes about an account that has ended; they are told on a page.
      if (user.isDeactivated) return userId
      this.#checkIsPersons(user)
      const others = (await externalIds.list(tx, userId)).filter((id) => id.authProvider === provider.id)
      if (others.some((other) => !isSame(provider, other.externalId, added.externalId))) {
        this.#deps.logger.warn(
          { userId, provider: provider.id },
          'Somebody has signed on whose name here is the account of somebody else of the same service',
        )
        throw new SignOnFailure('mapping_error', 'Your name is that of an account of somebody else', 403)
      }
      await externalIds.insert(tx, userId, added)
      return userId
    })
  }

  /**
   * A localpart that is free: this one, or with a number behind it. Throws `mapping_error` where there is none, for those
   * that cannot be a name, and for those of application services.
   */
  async freeLocalpart(localpart: string): Promise<string> {
    const { db, users, serverName } = this.#deps
    for (const group of candidateGroups(localpart)) {
      const userIds = group.map((candidate) => userIdOf(candidate, serverName))
      const taken = new Set((await users.listAnyCase(db.reader, userIds)).map((id) => id.toLowerCase()))
      const free = group.find((candidate) => !taken.has(userIdOf(candidate, serverName).toLowerCase()))
      if (free !== undefined) return free
    }
    throw new SignOnFailure('mapping_error', 'There is no name left that is like yours')
  }

  /** Throws `M_INVALID_USERNAME`, `M_EXCLUSIVE` or `M_USER_IN_USE` for a name that nobody can have any more. */
  async checkName(localpart: string): Promise<void> {
    const { db, users, registration, serverName } = this.#deps
    await registration.checkFree(localpart)
    const taken = await users.listAnyCase(db.reader, [userIdOf(localpart, serverName)])
    if (taken.length > 0) throw new MatrixError('M_USER_IN_USE', 'User ID already taken')
  }

  /**
   * Makes an account that is known to the service from then on. `commit` runs in the same transaction. Throws as
   * `checkName`, and `M_RESOURCE_LIMIT_EXCEEDED` where there is no place for another.
   */
  async register(
    provider: Pick<IdentityProvider, 'id'>,
    externalId: string,
    account: NewAccount,
    commit?: (tx: Tx) => Promise<void>,
  ): Promise<UserId> {
    const { usage, registration, externalIds, logger } = this.#deps
    await usage?.checkNewcomer()
    await this.checkName(account.localpart)
    const userId = await registration.registerSignedOn({
      ...account,
      async commit(tx, id) {
        await commit?.(tx)
        if (await externalIds.insert(tx, id, { authProvider: provider.id, externalId })) return
        throw new SignOnFailure('mapping_error', 'You have an account already')
      },
    })
    logger.info({ userId, provider: provider.id }, 'Somebody has an account by signing on')
    await this.#adoptPicture(userId, account.pictureUrl)
    return userId
  }

  /** Brings a profile up to what the service says (`sso.update_profile_information`). */
  async updateProfile(userId: UserId, { displayName, pictureUrl }: ExternalIdentity): Promise<void> {
    const { db, users, profileRows, profiles } = this.#deps
    const user = await users.get(db.reader, userId)
    if (user === undefined || user.isDeactivated) return
    const profile = await profileRows.get(db.reader, userId)
    if (displayName !== undefined && displayName !== profile?.displayName) {
      const requester = actingFor({ userId, isGuest: false })
      try {
        await profiles.setField(requester, userId, {
          field: 'displayname',
          body: { displayname: displayName },
          byAuthority: true,
        })
      } catch (err) {
        this.#deps.logger.warn({ err, userId }, 'A display name could not be taken over')
      }
    }
    await this.#adoptPicture(userId, pictureUrl)
  }

  async #adoptPicture(userId: UserId, url: string | undefined): Promise<void> {
    if (url === undefined) return
    try {
      await this.#deps.pictures.adopt(userId, url)
    } catch (err) {
      // Nobody is kept out for want of a picture.
      this.#deps.logger.warn({ err, userId }, 'A picture of somebody could not be fetched')
    }
  }

  /** The account of exactly this name, or the only one that differs from it in case alone. */
  async #findByName(tx: Tx, localpart: string): Promise<UserId | undefined> {
    const wanted = userIdOf(localpart, this.#deps.serverName)
    const found = await this.#deps.users.listAnyCase(tx, [wanted])
    if (found.includes(wanted) || found.length === 0) return found.find((userId) => userId === wanted)
    if (found.length === 1) return found[0]
    throw new SignOnFailure('mapping_error', 'Several accounts have your name, written in different ways')
  }

  #checkIsPersons({ userId, isGuest, appserviceId }: UserRecord): void {
    const isReserved = this.#deps.namespaces.isTaken('users', userId, undefined)
    if (!isGuest && appserviceId === undefined && !isReserved) return
    throw new SignOnFailure('mapping_error', 'Your name is that of an account of this server’s own', 403)
  }
}

function isSame({ ignoresCase }: Pick<IdentityProvider, 'ignoresCase'>, a: string, b: string): boolean {
  return a === b || (ignoresCase === true && a.toLowerCase() === b.toLowerCase())
}
