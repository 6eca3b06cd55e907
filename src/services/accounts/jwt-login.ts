import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import type { JWTPayload } from 'jose'
import { forbidden, MatrixError } from '../../protocol/errors.js'
import { userIdOf, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { Clock } from '../../util/clock.js'
import type { DeviceWish, Login, LoginResult } from './login.js'
import { userIdForUsername, type UsernameRules } from './usernames.js'

/** `jwt_config`. */
export interface JwtLoginOptions extends UsernameRules {
  /** Shared with whoever signs, or their public key in PEM: which of both, the algorithm says. */
  readonly secret: string
  readonly algorithm: string
  readonly subjectClaim: string
  readonly displayNameClaim: string | undefined
  readonly issuer: string | undefined
  readonly audiences: readonly string[] | undefined
}

export interface JwtLoginDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly users: Pick<UsersStore, 'get' | 'listAnyCase'>
  /** Makes accounts of those who have none yet. Rejects with `M_USER_IN_USE` where there is one. */
  readonly registration: {
    registerDirectly(account: {
      readonly userId: UserId
      readonly username: undefined
      readonly password: undefined
      readonly displayName: string | undefined
      readonly inhibitLogin: true
    }): Promise<unknown>
  }
  /** Throws where there is no place for another account. */
  readonly checkNewcomer?: (() => Promise<void>) | undefined
  readonly login: Pick<Login, 'beginSession'>
  readonly options: JwtLoginOptions
}

/** How far the clocks of both servers may be apart. */
const CLOCK_SKEW_S = 120
const MAX_DISPLAY_NAME_LENGTH = 256
/** What databases do not take. */
const UNKEEPABLE = /[\0\p{Cs}]/u

/**
 * Logs people in of whom another service says by a signed token (JSON Web Token, RFC 7519) who they are. The type of
 * login is Synapse's: no specification has it.
 */
export class JwtLogin {
  readonly #deps: JwtLoginDependencies
  readonly #key: KeyObject

  constructor(deps: JwtLoginDependencies) {
    this.#deps = deps
    const { secret, algorithm } = deps.options
    // Never decided by what a token says: a public key is no secret.
    this.#key = algorithm.startsWith('HS')
      ? createSecretKey(Buffer.from(secret, 'utf8'))
      : createPublicKey(secret)
  }

  /**
   * Begins a session of the token's subject, whose account is made if there is none. Throws `M_FORBIDDEN` where the token
   * is not good, `M_INVALID_USERNAME`, `M_EXCLUSIVE` and `M_RESOURCE_LIMIT_EXCEEDED` where there can be no such account,
   * and what `beginSession` does.
   */
  async logIn(token: string | undefined, device: DeviceWish): Promise<LoginResult> {
    if (token === undefined) throw forbidden('Token field for JWT is missing')
    const claims = await this.#verify(token)
    const { subjectClaim, displayNameClaim } = this.#deps.options
    const subject = claimOf(claims, subjectClaim)
    // A name, never a user ID: nobody is to come by another's account by a name that looks like one.
    if (typeof subject !== 'string' || /^@|:/.test(subject) || UNKEEPABLE.test(subject)) {
      throw forbidden('Invalid JWT')
    }
    const displayName = displayNameClaim === undefined ? undefined : claimOf(claims, displayNameClaim)
    return this.#deps.login.beginSession(await this.#accountOf(subject, displayName), device)
  }

  async #verify(token: string): Promise<JWTPayload> {
    const { jwtVerify } = await import('jose')
    const { algorithm, issuer, audiences } = this.#deps.options
    const now = this.#deps.clock.now()
    let claims: JWTPayload
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: [algorithm],
        clockTolerance: CLOCK_SKEW_S,
        currentDate: new Date(now),
        ...(issuer !== undefined && { issuer }),
        ...(audiences !== undefined && { audience: [...audiences] }),
      })
      claims = payload
    } catch (error) {
      const { code, message } = error as Error & { code?: string }
      if (code === 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED') throw invalid('Signature verification failed')
      // Anything else than a token that is not good is a fault of this server.
      if (code === undefined || !/^ERR_J(?:WS|WT|OSE)_/.test(code)) throw error
      throw invalid(message)
    }
    if (claims.iat !== undefined && claims.iat > now / 1000 + CLOCK_SKEW_S) {
      throw invalid('it was issued in the future')
    }
    // What is meant for somebody else is refused, also where it is not said who this server is.
    if (claims.aud !== undefined && audiences === undefined) throw invalid('unexpected "aud" claim')
    return claims
  }

  /**
   * The account of exactly this name, or the only one that differs from it in case alone, as in Synapse. Throws
   * `M_FORBIDDEN` where there are several of these, and for guests, whose names are numbers that others may have, too.
   */
  async #find(subject: string): Promise<UserId | undefined> {
    const { db, users, options } = this.#deps
    const wanted = userIdOf(subject, options.serverName)
    const found = await users.listAnyCase(db.reader, [wanted])
    const userId = found.find((one) => one === wanted) ?? found[0]
    if (userId === undefined) return undefined
    if (userId !== wanted && found.length > 1) throw invalid('several accounts have this name')
    if ((await users.get(db.reader, userId))?.isGuest === true) throw invalid('this is the name of a guest')
    return userId
  }

  async #accountOf(subject: string, displayName: unknown): Promise<UserId> {
    const { registration, options } = this.#deps
    const known = await this.#find(subject)
    if (known !== undefined) return known
    const userId = userIdForUsername(subject, options)
    await this.#deps.checkNewcomer?.()
    try {
      await registration.registerDirectly({
        userId,
        username: undefined,
        password: undefined,
        displayName: isDisplayName(displayName) ? displayName : undefined,
        inhibitLogin: true,
      })
    } catch (error) {
      // Somebody may come twice at once.
      if (!(error instanceof MatrixError && error.errcode === 'M_USER_IN_USE')) throw error
    }
    return userId
  }
}

function claimOf(claims: JWTPayload, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined
}

function isDisplayName(value: unknown): value is string {
  if (typeof value !== 'string' || UNKEEPABLE.test(value)) return false
  return value !== '' && value.length <= MAX_DISPLAY_NAME_LENGTH
}

function invalid(reason: string): MatrixError {
  return forbidden(`JWT validation failed: ${reason}`)
}
