import { forbidden, invalidParam, MatrixError } from '../../protocol/errors.js'
import type { Database, Query, Tx } from '../../storage/database.js'
import type {
  ThreepidValidation,
  ThreepidValidationsStore,
  ValidationPurpose,
} from '../../storage/stores/threepid-validations.js'
import type { ThreepidsStore } from '../../storage/stores/threepids.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import { randomToken } from '../../util/random.js'
import type { AttemptLimiter } from './attempt-limiter.js'
import type { ValidationMail } from './validation-mail.js'

/** Addresses that may be added here. */
export interface ThreepidPattern {
  readonly medium: string
  /** Matches a whole address. */
  readonly matches: (address: string) => boolean
}

export interface EmailValidationOptions {
  /** `email.validation_token_lifetime`. */
  readonly tokenLifetimeMs: number
  /** `enable_3pid_changes`. */
  readonly mayChange: boolean
  /** Somebody may register. */
  readonly mayRegister: boolean
  /** `allowed_local_3pids`; undefined: all. */
  readonly allowed: readonly ThreepidPattern[] | undefined
  /** `request_token_inhibit_3pid_errors`: nobody learns whether an address has an account. */
  readonly hidesAccounts: boolean
  /** `next_link_domain_whitelist`; undefined: all. */
  readonly nextLinkDomains: ReadonlySet<string> | undefined
}

export interface EmailValidationDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly store: ThreepidValidationsStore
  readonly threepids: Pick<ThreepidsStore, 'findOwner'>
  /** Undefined where the server sends no mail. */
  readonly mail: Pick<ValidationMail, 'send' | 'sendInUse'> | undefined
  /** `rc_3pid_validation`: mails to an address. */
  readonly limiter: AttemptLimiter
  readonly logger: Pick<Logger, 'error'>
  readonly options: EmailValidationOptions
}

/** What a client asks a mail for. */
export interface TokenRequest {
  readonly email: string
  readonly clientSecret: string
  /** A mail is sent once for each. */
  readonly sendAttempt: number
  readonly nextLink: string | undefined
}

/** How clients name a session in which something has been proven. */
export interface ThreepidCredentials {
  readonly sid: string
  readonly clientSecret: string
}

/** An address that has been proven. */
export interface ThreepidProof {
  readonly medium: string
  readonly address: string
  readonly validatedTs: number
}

const MAX_ADDRESS_LENGTH = 500
/** How long somebody may take from the first mail to the use of the proof. */
const SESSION_LIFETIME_MS = 24 * 60 * 60_000

/**
 * Proofs that e-mail addresses belong to those who say so: a link is sent there, and whoever follows it has proven it.
 * https://spec.matrix.org/latest/client-server-api/#adding-account-administrative-contact-information
 */
export class EmailValidations {
  readonly #deps: EmailValidationDependencies

  constructor(deps: EmailValidationDependencies) {
    this.#deps = deps
  }

  /** Whether the server sends mail. */
  get isOffered(): boolean {
    return this.#deps.mail !== undefined
  }

  /**
   * Sends a link to an address; gives the session's ID. Throws `M_THREEPID_DENIED`, `M_THREEPID_IN_USE`,
   * `M_THREEPID_NOT_FOUND`, `M_INVALID_PARAM`, `M_LIMIT_EXCEEDED`, and `M_UNKNOWN` when the mail cannot be sent.
   */
  async requestToken(purpose: ValidationPurpose, request: TokenRequest): Promise<string> {
    const { db, store, threepids, mail, limiter, options } = this.#deps
    if (mail === undefined) throw denied('This server sends no mail')
    const address = canonicalEmail(request.email)
    this.#checkAllowed(purpose, address)
    this.#checkNextLink(request.nextLink)
    limiter.consume(`email:${address}`)
    const wanted = { purpose, medium: 'email', address, clientSecret: request.clientSecret }
    const known = await store.find(db.reader, wanted)
    const isRepeated = (known?.sendAttempt ?? -Infinity) >= request.sendAttempt
    if (known && isRepeated) return known.sessionId
    const owner = await threepids.findOwner(db.reader, 'email', address)
    if ((purpose === 'reset') !== (owner !== undefined)) {
      if (!options.hidesAccounts) throw purpose === 'reset' ? notFound() : inUse()
      if (purpose === 'register') await this.#deliver(() => mail.sendInUse(address))
      return randomToken()
    }
    return this.#begin({ ...wanted, ...request }, known)
  }

  /**
   * Somebody has followed the link. Gives where the client wants them to go. Throws `M_UNKNOWN` (404) for links that
   * are wrong or too old.
   */
  async confirm({
    sid,
    clientSecret,
    token,
  }: ThreepidCredentials & { token: string }): Promise<string | undefined> {
    const { db, store, clock, options } = this.#deps
    const now = clock.now()
    return db.write('confirm_threepid', async (tx) => {
      const session = await this.#find(tx, { sid, clientSecret })
      if (session?.token !== token) throw badLink('This link is not valid')
      if (session.createdTs + options.tokenLifetimeMs <= now) throw badLink('This link is too old')
      await store.setValidated(tx, sid, now)
      return session.nextLink
    })
  }

  /** What has been proven in a session for one of some purposes; undefined: nothing (yet). */
  async findProof(
    q: Query,
    credentials: ThreepidCredentials,
    purposes: readonly ValidationPurpose[],
  ): Promise<(ThreepidProof & { readonly purpose: ValidationPurpose }) | undefined> {
    const session = await this.#find(q, credentials)
    if (session?.validatedTs === undefined || !purposes.includes(session.purpose)) return undefined
    const { medium, address, validatedTs, purpose } = session
    return { medium, address, validatedTs, purpose }
  }

  /** As `findProof`; the proof is good for nothing more. */
  async consume(
    tx: Tx,
    credentials: ThreepidCredentials,
    purposes: readonly ValidationPurpose[],
  ): ReturnType<EmailValidations['findProof']> {
    const proof = await this.findProof(tx, credentials, purposes)
    if (proof !== undefined) await this.#deps.store.delete(tx, credentials.sid)
    return proof
  }

  /** Sessions that nobody will come back to. */
  async deleteExpired(): Promise<void> {
    const { db, store, clock } = this.#deps
    const before = clock.now() - SESSION_LIFETIME_MS
    await db.write('delete_threepid_validations', (tx) => store.deleteBefore(tx, before))
  }

  async #begin(
    request: TokenRequest & Pick<ThreepidValidation, 'purpose' | 'medium' | 'address'>,
    known: ThreepidValidation | undefined,
  ): Promise<string> {
    const { db, store, clock, mail } = this.#deps
    const { purpose, medium, address, clientSecret, sendAttempt, nextLink } = request
    const sessionId = known?.sessionId ?? randomToken()
    const of = { sessionId, purpose, medium, address, clientSecret, sendAttempt, nextLink }
    const session = { ...of, token: randomToken(), createdTs: clock.now(), validatedTs: undefined }
    await db.write('begin_threepid_validation', (tx) => store.put(tx, session))
    try {
      await this.#deliver(async () => mail?.send(session))
    } catch (error) {
      await db.write('forget_threepid_attempt', (tx) => store.forgetAttempt(tx, sessionId))
      throw error
    }
    return sessionId
  }

  async #deliver(send: () => Promise<void>): Promise<void> {
    try {
      await send()
    } catch (err) {
      this.#deps.logger.error({ err }, 'A mail could not be sent')
      throw new MatrixError('M_UNKNOWN', 'The mail could not be sent', { status: 500 })
    }
  }

  async #find(q: Query, { sid, clientSecret }: ThreepidCredentials): Promise<ThreepidValidation | undefined> {
    const { store, clock } = this.#deps
    const session = await store.get(q, sid)
    if (session?.clientSecret !== clientSecret) return undefined
    return session.createdTs + SESSION_LIFETIME_MS <= clock.now() ? undefined : session
  }

  #checkAllowed(purpose: ValidationPurpose, address: string): void {
    const { mayChange, mayRegister, allowed } = this.#deps.options
    if (purpose === 'reset') return
    if (purpose === 'add' && !mayChange) throw forbidden('Third-party identifiers cannot be changed here')
    if (purpose === 'register' && !mayRegister) throw forbidden('Registration has been disabled')
    if (allowed === undefined) return
    if (!allowed.some(({ medium, matches }) => medium === 'email' && matches(address)))
      throw denied('Addresses of this kind are not allowed at this server')
  }

  #checkNextLink(nextLink: string | undefined): void {
    const { nextLinkDomains } = this.#deps.options
    if (nextLink === undefined) return
    const url = URL.canParse(nextLink) ? new URL(nextLink) : undefined
    if (url?.protocol !== 'https:' && url?.protocol !== 'http:') throw invalidParam('next_link must be a URL')
    if (nextLinkDomains !== undefined && !nextLinkDomains.has(url.hostname))
      throw invalidParam('next_link leads to a domain that is not allowed')
  }
}

/** One address has one form. Throws `M_INVALID_PARAM` for what is too long. */
function canonicalEmail(email: string): string {
  if (email.length > MAX_ADDRESS_LENGTH) throw invalidParam('The e-mail address is too long')
  return email.toLowerCase()
}

function denied(message: string): MatrixError {
  return new MatrixError('M_THREEPID_DENIED', message)
}

function inUse(): MatrixError {
  return new MatrixError('M_THREEPID_IN_USE', 'The e-mail address is in use already')
}

function notFound(): MatrixError {
  return new MatrixError('M_THREEPID_NOT_FOUND', 'No account has this e-mail address')
}

function badLink(message: string): MatrixError {
  return new MatrixError('M_UNKNOWN', message, { status: 404 })
}
