import { MatrixError } from '../../protocol/errors.js'
import type { ServerName, UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { UserRecord, UsersStore } from '../../storage/stores/users.js'
import type { Logger } from '../../telemetry/logger.js'
import { cleanDisplayName, cleanEmails } from './given-profiles.js'
import { userIdsForLogin } from './usernames.js'

/** What somebody shows to prove who they are. */
export interface Credential {
  /** The type of login. */
  readonly type: string
  readonly secret: string
  /** Who they say they are: a localpart or user ID as they have written it; undefined: nobody of a known name. */
  readonly user: string | undefined
  /** The account that this would be, if there is one. */
  readonly account: UserId | undefined
  /** Who they say they are, by an address of theirs. */
  readonly threepid?: { readonly medium: string; readonly address: string } | undefined
}

/** Somebody who has proven who they are. */
export interface ProvenIdentity {
  readonly localpart: string
  /** Where they have no account yet, this is what one is made of; undefined: then they are nobody. */
  readonly newcomer?: { readonly displayName: string | undefined; readonly emails: readonly string[] }
  /** Runs when they log in. What goes wrong is logged; they are let in. */
  onLogin?(userId: UserId, isNew: boolean): Promise<void>
}

/** Knows people besides this server: by passwords, or by a type of login of its own. */
export interface CredentialProvider {
  /** For the log. */
  readonly name: string
  /** The types of login that it judges. */
  readonly types: readonly string[]
  /** It answers by itself, without anybody else. */
  readonly isImmediate: boolean
  /**
   * Who that is; undefined where the secret is not theirs. Ends within seconds, and rejects where it cannot be found out:
   * then they are nobody.
   */
  identify(credential: Credential): Promise<ProvenIdentity | undefined>
}

export interface CredentialProvidersDependencies {
  readonly db: Database
  readonly users: Pick<UsersStore, 'get'>
  /** Makes accounts of those who have none. Rejects with `M_USER_IN_USE` where there is one. */
  readonly registration: {
    registerSignedOn(account: {
      readonly localpart: string
      readonly displayName: string | undefined
      readonly emails: readonly string[]
      readonly consentVersion: undefined
      commit(tx: Tx, userId: UserId): Promise<void>
    }): Promise<UserId>
  }
  /** Throws where there is no place for another account. */
  readonly checkNewcomer: () => Promise<void>
  readonly logger: Pick<Logger, 'debug' | 'info' | 'warn'>
  readonly serverName: ServerName
  /** In the order in which they are asked. */
  readonly list: readonly CredentialProvider[]
}

/** Nobody's password is longer. */
const MAX_SECRET_LENGTH = 512
const PASSWORD_TYPE = 'm.login.password'

/** All those who know people besides this server. */
export class CredentialProviders {
  readonly #deps: CredentialProvidersDependencies

  constructor(deps: CredentialProvidersDependencies) {
    this.#deps = deps
  }

  /** Somebody else knows passwords. */
  get takesPasswords(): boolean {
    return this.#deps.list.some(({ types }) => types.includes(PASSWORD_TYPE))
  }

  /** The types of login besides that by password. */
  get ownTypes(): readonly string[] {
    const types = new Set(this.#deps.list.flatMap((provider) => provider.types))
    types.delete(PASSWORD_TYPE)
    return [...types]
  }

  /**
   * The account of whom a provider knows by this secret; undefined where none does. `isImmediate`: asks only those that
   * answer by themselves, or only the others. `registers`: an account is made of those who have none.
   */
  async identify(
    credential: Credential,
    { isImmediate, registers }: { readonly isImmediate: boolean; readonly registers: boolean },
  ): Promise<UserId | undefined> {
    const { secret, type } = credential
    if (secret === '' || secret.length > MAX_SECRET_LENGTH) return undefined
    for (const provider of this.#deps.list) {
      if (provider.isImmediate !== isImmediate || !provider.types.includes(type)) continue
      try {
        const identity = await provider.identify(credential)
        const userId = identity && (await this.#accountOf(identity, { provider, registers }))
        if (userId !== undefined) return userId
      } catch (error) {
        this.#deps.logger.warn(
          { reason: (error as Error).message, provider: provider.name },
          'Nobody could be let in by a provider of passwords',
        )
      }
    }
    return undefined
  }

  async #accountOf(
    identity: ProvenIdentity,
    { provider, registers }: { provider: CredentialProvider; registers: boolean },
  ): Promise<UserId | undefined> {
    const known = await this.#findAccount(identity.localpart)
    if (known !== undefined && identity.newcomer !== undefined) checkIsPersons(known)
    if (!registers) return known?.userId
    const userId = known?.userId ?? (await this.#register(identity, provider))
    if (userId === undefined) return undefined
    try {
      await identity.onLogin?.(userId, known === undefined)
    } catch (err) {
      this.#deps.logger.warn(
        { err, userId },
        'A profile could not be taken over from a provider of passwords',
      )
    }
    return userId
  }

  async #findAccount(localpart: string): Promise<UserRecord | undefined> {
    const { db, users, serverName } = this.#deps
    // At most two: as written, and in lower case.
    for (const userId of userIdsForLogin(localpart, serverName)) {
      const user = await users.get(db.reader, userId)
      if (user !== undefined) return user
    }
    return undefined
  }

  async #register(
    { localpart, newcomer }: ProvenIdentity,
    provider: CredentialProvider,
  ): Promise<UserId | undefined> {
    if (newcomer === undefined) return undefined
    const { registration, logger } = this.#deps
    await this.#deps.checkNewcomer()
    try {
      const userId = await registration.registerSignedOn({
        localpart,
        displayName: cleanDisplayName(newcomer.displayName),
        emails: cleanEmails(newcomer.emails),
        consentVersion: undefined,
        commit: () => Promise.resolve(),
      })
      logger.info({ userId, provider: provider.name }, 'Somebody has an account by a provider of passwords')
      return userId
    } catch (error) {
      // Somebody may come twice at once.
      if (error instanceof MatrixError && error.errcode === 'M_USER_IN_USE') {
        return (await this.#findAccount(localpart))?.userId
      }
      throw error
    }
  }
}

/** A name that somebody has elsewhere must not open what belongs to a bridge or a guest here. */
function checkIsPersons({ isGuest, appserviceId }: UserRecord): void {
  if (isGuest || appserviceId !== undefined) throw new Error('the name is that of an account of no person')
}
