import { createHmac, timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { MatrixError, forbidden, invalidParam } from '../../protocol/errors.js'
import type { Clock } from '../../util/clock.js'
import { randomToken } from '../../util/random.js'
import type { AccountRegistration, Registered } from './account-registration.js'

/** What somebody who knows the shared secret sends. */
export interface SharedSecretRequest {
  readonly nonce: string
  readonly username: string
  readonly password: string
  readonly displayName: string | undefined
  readonly isAdmin: boolean
  readonly userType: string | undefined
  readonly mac: string
}

export interface SharedSecretDependencies {
  readonly clock: Clock
  readonly registration: Pick<AccountRegistration, 'registerDirectly'>
  /** `registration_shared_secret`. */
  readonly sharedSecret: string | undefined
  /** Kinds of users that may be made. */
  readonly userTypes: readonly string[]
}

const NONCE_LIFETIME_MS = 60_000
/** More at once are not remembered: the oldest goes, so that asking for nonces costs no memory. */
const MAX_NONCES = 10_000
const MAX_FIELD_BYTES = 512

/**
 * Accounts for those who know `registration_shared_secret`, also where nobody else may register. The secret is not
 * sent: it signs a nonce and the fields.
 */
export class SharedSecretRegistration {
  readonly #deps: SharedSecretDependencies
  readonly #nonces = new LRUCache<string, number>({ max: MAX_NONCES })

  constructor(deps: SharedSecretDependencies) {
    this.#deps = deps
  }

  /** A nonce: good once, for a minute. Throws `M_UNKNOWN` with 400 where there is no secret. */
  createNonce(): string {
    this.#requireSecret()
    const nonce = randomToken(64)
    this.#nonces.set(nonce, this.#deps.clock.now() + NONCE_LIFETIME_MS)
    return nonce
  }

  /** Throws `M_UNKNOWN` with 400 for an unknown nonce, `M_FORBIDDEN` for a wrong signature, and what registration throws. */
  async register(request: SharedSecretRequest): Promise<Registered> {
    const secret = this.#requireSecret()
    this.#consumeNonce(request.nonce)
    checkField('username', request.username)
    checkField('password', request.password)
    if (!isSameMac(macOf(request, secret), request.mac)) throw forbidden('HMAC incorrect')
    if (request.userType !== undefined && !this.#deps.userTypes.includes(request.userType)) {
      throw invalidParam('Invalid user type')
    }
    return this.#deps.registration.registerDirectly({
      username: request.username,
      password: request.password,
      displayName: request.displayName,
      isAdmin: request.isAdmin,
      userType: request.userType,
    })
  }

  #requireSecret(): string {
    const secret = this.#deps.sharedSecret
    if (secret === undefined || secret === '') {
      throw new MatrixError('M_UNKNOWN', 'Shared secret registration is not enabled', { status: 400 })
    }
    return secret
  }

  #consumeNonce(nonce: string): void {
    const expiryTs = this.#nonces.get(nonce)
    this.#nonces.delete(nonce)
    if (expiryTs === undefined || expiryTs <= this.#deps.clock.now()) {
      throw new MatrixError('M_UNKNOWN', 'unrecognised nonce', { status: 400 })
    }
  }
}

/** A NUL would shift the boundaries between the fields that are signed. */
function checkField(name: string, value: string): void {
  if (value === '' || value.includes('\0') || Buffer.byteLength(value) > MAX_FIELD_BYTES) {
    throw new MatrixError('M_UNKNOWN', `Invalid ${name}`, { status: 400 })
  }
}

function macOf(request: SharedSecretRequest, secret: string): Buffer {
  const fields = [request.nonce, request.username, request.password, request.isAdmin ? 'admin' : 'notadmin']
  if (request.userType !== undefined) fields.push(request.userType)
  return createHmac('sha1', secret).update(fields.join('\0')).digest()
}

function isSameMac(wanted: Buffer, got: string): boolean {
  if (!/^[0-9a-fA-F]{40}$/.test(got)) return false
  return timingSafeEqual(wanted, Buffer.from(got, 'hex'))
}
