import { createHmac, timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { fillSubject } from '../../config/sections/email.js'
import { forbidden, MatrixError, notFound } from '../../protocol/errors.js'
import { localpartOf, userIdOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { UserConsentsStore } from '../../storage/stores/user-consents.js'
import type { UserRecord, UsersStore } from '../../storage/stores/users.js'
import type { Clock } from '../../util/clock.js'
import type { Requester } from './requester.js'

export interface PolicyConsentsOptions {
  readonly serverName: ServerName
  /** `public_baseurl`, with a slash at its end. */
  readonly publicBaseUrl: string
  /** The version that people have to agree to. */
  readonly version: string
  /** `form_secret`: signs the links by which they do. */
  readonly secret: string
  /** `block_events_error`, with `%(consent_uri)s` for the link; without it nobody is kept from anything. */
  readonly refusal: string | undefined
}

export interface PolicyConsentsDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly users: Pick<UsersStore, 'get'>
  readonly userConsents: UserConsentsStore
  readonly options: PolicyConsentsOptions
}

/** A reader of the policy, as the link names them. */
export interface PolicyReader {
  readonly userId: UserId
  /** Of the version that is shown. */
  readonly hasConsented: boolean
}

/** Users that are known to need no asking; all others are looked up at each request. */
const MAX_REMEMBERED = 50_000

/**
 * Who has agreed to the server's policy, and by which link people do so. The links and their signatures are Synapse's, so
 * that those that were sent before go on working.
 */
export class PolicyConsents {
  readonly #deps: PolicyConsentsDependencies
  readonly #settled = new LRUCache<UserId, true>({ max: MAX_REMEMBERED })

  constructor(deps: PolicyConsentsDependencies) {
    this.#deps = deps
  }

  /** Where a user reads the policy and agrees to it. */
  uriFor(userId: UserId): string {
    const localpart = localpartOf(userId)
    const query = new URLSearchParams({ u: localpart, h: this.#sign(localpart) })
    return `${this.#deps.options.publicBaseUrl}_matrix/consent?${query.toString()}`
  }

  /** Throws `M_FORBIDDEN` for a link that was not made for this user, `M_NOT_FOUND` where there is no such user any more. */
  async read(localpart: string, signature: string, version: string): Promise<PolicyReader> {
    const userId = this.#verify(localpart, signature)
    const { db, users, userConsents } = this.#deps
    const user = await users.get(db.reader, userId)
    if (user === undefined || user.isDeactivated) throw notFound('There is no such user')
    const consent = await userConsents.get(db.reader, userId)
    return { userId, hasConsented: consent?.version === version }
  }

  /** Notes that somebody agrees, as of now; throws as `read`. */
  async agree(localpart: string, signature: string, version: string): Promise<void> {
    const { userId } = await this.read(localpart, signature, version)
    const { db, clock, userConsents } = this.#deps
    await db.write('consent', (tx) => userConsents.put(tx, userId, { version, ts: clock.now() }))
  }

  /** Whether somebody has agreed to the present version. */
  async hasAgreed(userId: UserId): Promise<boolean> {
    const { db, userConsents, options } = this.#deps
    return (await userConsents.get(db.reader, userId))?.version === options.version
  }

  /**
   * Throws `M_CONSENT_NOT_GIVEN` with `consent_uri` to those who have to agree first. Application services and their users
   * need not, nor do bots and support accounts.
   */
  async check({ userId, appserviceId }: Requester): Promise<void> {
    const { refusal } = this.#deps.options
    if (refusal === undefined || appserviceId !== undefined || this.#settled.has(userId)) return
    if ((await this.#isExempt(userId)) || (await this.hasAgreed(userId))) {
      this.#settled.set(userId, true)
      return
    }
    const uri = this.uriFor(userId)
    throw new MatrixError('M_CONSENT_NOT_GIVEN', fillSubject(refusal, { consent_uri: uri }), {
      fields: { consent_uri: uri },
    })
  }

  async #isExempt(userId: UserId): Promise<boolean> {
    const user: UserRecord | undefined = await this.#deps.users.get(this.#deps.db.reader, userId)
    return user?.appserviceId !== undefined || user?.userType === 'bot' || user?.userType === 'support'
  }

  #verify(localpart: string, signature: string): UserId {
    const expected = Buffer.from(this.#sign(localpart))
    const given = Buffer.from(signature)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw forbidden('This link was not made for this user')
    }
    return userIdOf(localpart, this.#deps.options.serverName)
  }

  #sign(localpart: string): string {
    return createHmac('sha256', this.#deps.options.secret).update(localpart).digest('hex')
  }
}
