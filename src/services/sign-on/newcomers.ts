import { MatrixError } from '../../protocol/errors.js'
import { userIdOf, type ServerName } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { NewcomerRecord, SignOnNewcomersStore } from '../../storage/stores/sign-on-newcomers.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import { KeyedMutex } from '../../util/keyed-mutex.js'
import { randomToken } from '../../util/random.js'
import { hashToken } from '../accounts/token-format.js'
import type { ClientReturns } from './client-returns.js'
import type { ExternalIdentity, IdentityProvider } from './identity-provider.js'
import { sendTo, type SignOnAnswer, type SignOnCookie } from './sign-on-answer.js'
import type { SignOnAccounts } from './sign-on-accounts.js'
import { badSession, SignOnFailure } from './sign-on-failure.js'
import type { SignOnPages } from './sign-on-pages.js'

export interface NewcomersDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly newcomers: SignOnNewcomersStore
  readonly accounts: SignOnAccounts
  readonly returns: ClientReturns
  readonly pages: SignOnPages
  readonly providers: readonly IdentityProvider[]
  readonly options: NewcomersOptions
}

export interface NewcomersOptions {
  readonly serverName: ServerName
  /** The policy that newcomers have to agree to; undefined: none. */
  readonly policyVersion: string | undefined
  /** The server is reached by https. */
  readonly isSecure: boolean
}

/** What somebody has filled in of how they want to be called. */
export interface NewcomerWish {
  readonly localpart: string
  readonly usesDisplayName: boolean
  readonly usesAvatar: boolean
  readonly emails: readonly string[]
}

/** What is known of a newcomer, step by step. */
interface Choices {
  readonly localpart?: string
  readonly usesDisplayName: boolean
  readonly usesAvatar: boolean
  readonly emails: readonly string[]
  readonly policyVersion?: string
}

interface Newcomer {
  readonly record: NewcomerRecord
  readonly provider: IdentityProvider
  readonly identity: ExternalIdentity
  readonly choices: Choices
}

/** Synapse's name. */
export const NEWCOMER_COOKIE = 'username_mapping_session'
const LIFETIME_MS = 15 * 60_000
const PATHS = {
  name: '/_synapse/client/pick_username/account_details',
  policy: '/_synapse/client/new_user_consent',
  register: '/_synapse/client/sso_register',
} as const

/**
 * Makes accounts of people who have signed on and have none, and asks them before for what an account needs: a name, and
 * that they agree to the server's policy. Until then they are known by a cookie, for fifteen minutes.
 */
export class Newcomers {
  readonly #deps: NewcomersDependencies
  /** Nobody gets two accounts by asking twice at once. */
  readonly #people = new KeyedMutex()

  constructor(deps: NewcomersDependencies) {
    this.#deps = deps
  }

  /** Somebody is here for the first time. An account where nothing has to be asked, or else the first page. */
  async welcome(
    provider: IdentityProvider,
    identity: ExternalIdentity,
    redirectUrl: string,
  ): Promise<SignOnAnswer> {
    const { localpart } = identity
    if (localpart === undefined) return this.#receive(provider, identity, redirectUrl)
    // Two of the same name who come at once get two names.
    return this.#people.run(`name ${localpart.toLowerCase()}`, () =>
      this.#receive(provider, identity, redirectUrl),
    )
  }

  async #receive(
    provider: IdentityProvider,
    identity: ExternalIdentity,
    redirectUrl: string,
  ): Promise<SignOnAnswer> {
    const localpart =
      identity.localpart === undefined
        ? undefined
        : await this.#deps.accounts.freeLocalpart(identity.localpart)
    const choices: Choices = {
      usesDisplayName: true,
      usesAvatar: true,
      emails: identity.emails ?? [],
      ...(localpart !== undefined && { localpart }),
    }
    const mustChoose = localpart === undefined || identity.confirmsLocalpart === true
    if (mustChoose || this.#deps.options.policyVersion !== undefined) {
      return this.#begin({ provider, identity, choices, redirectUrl }, mustChoose ? PATHS.name : PATHS.policy)
    }
    return this.#register({ provider, identity, choices, redirectUrl })
  }

  /** The page that asks how somebody wants to be called. Throws `bad_session`, as everything below. */
  async renderDetails(session: string | undefined): Promise<SignOnAnswer> {
    const { provider, identity, choices } = await this.#find(session)
    return this.#deps.pages.accountDetails({ provider, identity, localpart: choices.localpart ?? '' })
  }

  /** Whether somebody can be called so. Throws `M_INVALID_USERNAME` for what cannot be a name. */
  async isFree(session: string | undefined, localpart: string): Promise<boolean> {
    // Nobody but newcomers may find out who has an account.
    await this.#find(session)
    try {
      await this.#deps.accounts.checkName(localpart)
      return true
    } catch (error) {
      if (error instanceof MatrixError && error.errcode !== 'M_INVALID_USERNAME') return false
      throw error
    }
  }

  /** Takes what has been filled in. What is wrong with the name is said on the page. */
  async choose(session: string | undefined, wish: NewcomerWish): Promise<SignOnAnswer> {
    const newcomer = await this.#find(session)
    const { provider, identity } = newcomer
    try {
      await this.#deps.accounts.checkName(wish.localpart)
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error
      const { message } = error
      const localpart = wish.localpart.slice(0, 255)
      return this.#deps.pages.accountDetails({ provider, identity, localpart, error: message })
    }
    const known = new Set(identity.emails)
    const emails = wish.emails.filter((email) => known.has(email))
    const choices = { ...newcomer.choices, ...wish, localpart: wish.localpart.toLowerCase(), emails }
    await this.#remember(newcomer, choices)
    return sendTo(this.#nextPath(choices))
  }

  /** The page that asks somebody to agree to the policy. */
  async renderConsent(session: string | undefined): Promise<SignOnAnswer> {
    const { identity, choices } = await this.#find(session)
    const { policyVersion: version, serverName } = this.#deps.options
    const { localpart } = choices
    if (localpart === undefined) throw new SignOnFailure('no_user', 'No user name has been selected.')
    if (version === undefined) return sendTo(PATHS.register)
    const displayName = choices.usesDisplayName ? identity.displayName : undefined
    return this.#deps.pages.consent({ userId: userIdOf(localpart, serverName), displayName, version })
  }

  /** Somebody agrees to a version of the policy. */
  async agree(session: string | undefined, version: string): Promise<SignOnAnswer> {
    const newcomer = await this.#find(session)
    const choices = { ...newcomer.choices, policyVersion: version }
    // Another version is not what they would be held to.
    if (version === this.#deps.options.policyVersion) await this.#remember(newcomer, choices)
    return sendTo(this.#nextPath(version === this.#deps.options.policyVersion ? choices : newcomer.choices))
  }

  /** Makes the account, and sends its owner back to the client. */
  async register(session: string | undefined): Promise<SignOnAnswer> {
    const { record, provider, identity, choices } = await this.#find(session)
    const next = this.#nextPath(choices)
    if (next !== PATHS.register) return sendTo(next)
    const { redirectUrl, sessionHash } = record
    const answer = await this.#register({ provider, identity, choices, redirectUrl, sessionHash })
    return { ...answer, cookie: this.#cookie('', 0) }
  }

  /** Forgets those who have signed on in a session of the service that is over. */
  async forgetProviderSession(tx: Tx, providerId: string, providerSession: string): Promise<void> {
    await this.#deps.newcomers.deleteForProviderSession(tx, providerId, providerSession)
  }

  async deleteExpired(): Promise<void> {
    const { db, clock, newcomers } = this.#deps
    await db.write('expire_newcomers', (tx) => newcomers.deleteExpired(tx, clock.now()))
  }

  async #begin(
    of: { provider: IdentityProvider; identity: ExternalIdentity; choices: Choices; redirectUrl: string },
    path: string,
  ): Promise<SignOnAnswer> {
    const { db, clock, newcomers } = this.#deps
    const session = randomToken()
    await db.write('welcome_newcomer', async (tx) => {
      await newcomers.deleteExpired(tx, clock.now())
      await newcomers.insert(tx, {
        sessionHash: hashToken(session),
        provider: of.provider.id,
        providerSession: of.identity.providerSession,
        identity: { ...of.identity } as unknown as JsonObject,
        choices: { ...of.choices } as unknown as JsonObject,
        redirectUrl: of.redirectUrl,
        expiryTs: clock.now() + LIFETIME_MS,
      })
    })
    return sendTo(path, this.#cookie(session, LIFETIME_MS))
  }

  async #register(of: {
    provider: IdentityProvider
    identity: ExternalIdentity
    choices: Choices
    redirectUrl: string
    sessionHash?: string
  }): Promise<SignOnAnswer> {
    const { provider, identity, choices, redirectUrl, sessionHash } = of
    const { externalId, providerSession, extraAttributes: extra } = identity
    const { db, accounts, newcomers, returns } = this.#deps
    return this.#people.run(`person ${provider.id} ${externalId}`, async () => {
      const known = await accounts.findKnown(provider, externalId)
      const account = {
        localpart: choices.localpart ?? '',
        displayName: choices.usesDisplayName ? identity.displayName : undefined,
        emails: choices.emails,
        pictureUrl: choices.usesAvatar ? identity.pictureUrl : undefined,
        consentVersion: choices.policyVersion,
      }
      const end = async (tx: Tx): Promise<void> => {
        if (sessionHash !== undefined && !(await newcomers.delete(tx, sessionHash))) throw badSession()
      }
      if (known !== undefined) await db.write('end_newcomer', end)
      const userId = known ?? (await accounts.register(provider, externalId, account, end))
      const origin = { provider: provider.id, providerSession, extra }
      return returns.send({ userId, redirectUrl, origin, isNew: known === undefined })
    })
  }

  #nextPath({ localpart, policyVersion }: Choices): string {
    if (localpart === undefined) return PATHS.name
    const { policyVersion: wanted } = this.#deps.options
    return wanted !== undefined && policyVersion !== wanted ? PATHS.policy : PATHS.register
  }

  async #remember({ record }: Newcomer, choices: Choices): Promise<void> {
    const { db, newcomers } = this.#deps
    await db.write('remember_newcomer', (tx) =>
      newcomers.setChoices(tx, record.sessionHash, { ...choices } as unknown as JsonObject),
    )
  }

  async #find(session: string | undefined): Promise<Newcomer> {
    const { db, clock, newcomers, providers } = this.#deps
    const record = session === undefined ? undefined : await newcomers.get(db.reader, hashToken(session))
    if (record === undefined || record.expiryTs <= clock.now()) throw badSession()
    const provider = providers.find(({ id }) => id === record.provider)
    if (provider === undefined) throw badSession()
    // As they were written by this class.
    const identity = record.identity as unknown as ExternalIdentity
    const choices = record.choices as unknown as Choices
    return { record, provider, identity, choices }
  }

  #cookie(value: string, maxAgeMs: number): SignOnCookie {
    const { isSecure } = this.#deps.options
    return { name: NEWCOMER_COOKIE, value, maxAgeMs, isCrossSite: false, isSecure }
  }
}
