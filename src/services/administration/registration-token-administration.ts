import { invalidParam, notFound } from '../../protocol/errors.js'
import type { Database } from '../../storage/database.js'
import type {
  RegistrationTokenRecord,
  RegistrationTokensStore,
} from '../../storage/stores/registration-tokens.js'
import type { Clock } from '../../util/clock.js'
import { randomToken } from '../../util/random.js'

export interface RegistrationTokenAdministrationDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly registrationTokens: RegistrationTokensStore
}

/** What a token allows; null: without a limit, undefined: as it is. */
export interface TokenLimits {
  readonly usesAllowed?: number | null | undefined
  /** In milliseconds since 1970. */
  readonly expiryTs?: number | null | undefined
}

const TOKEN = /^[A-Za-z0-9._~-]{1,64}$/
/** Somebody chose the same at the same moment this often: something else is wrong. */
const ATTEMPTS = 5

/** Hands out and takes back the tokens that let people register. */
export class RegistrationTokenAdministration {
  readonly #deps: RegistrationTokenAdministrationDependencies

  constructor(deps: RegistrationTokenAdministrationDependencies) {
    this.#deps = deps
  }

  /** All tokens; those alone that can be used now, or that cannot, where `isUsable` says so. */
  async list(isUsable: boolean | undefined): Promise<RegistrationTokenRecord[]> {
    const { db, clock, registrationTokens } = this.#deps
    const now = clock.now()
    const tokens = await registrationTokens.list(db.reader)
    return tokens.filter((token) => isUsable === undefined || canBeUsed(token, now) === isUsable)
  }

  /** Throws `M_NOT_FOUND`. */
  async get(token: string): Promise<RegistrationTokenRecord> {
    const found = await this.#deps.registrationTokens.get(this.#deps.db.reader, token)
    if (found === undefined) throw noSuchToken(token)
    return found
  }

  /**
   * Makes a token: this one, or one of this many characters. Throws `M_INVALID_PARAM` where there is one already, for
   * what cannot be a token, and for times that have passed.
   */
  async create(
    wish: { readonly token: string | undefined; readonly length: number },
    limits: TokenLimits,
  ): Promise<RegistrationTokenRecord> {
    this.#checkExpiry(limits)
    if (wish.token !== undefined && !TOKEN.test(wish.token)) {
      throw invalidParam(
        'token must consist only of the characters A-Z a-z 0-9 . _ ~ - and have 1 to 64 of them',
      )
    }
    for (let attempt = 0; attempt < (wish.token === undefined ? ATTEMPTS : 1); attempt++) {
      const token = wish.token ?? randomToken(wish.length)
      const isNew = await this.#deps.db.write('create_registration_token', (tx) =>
        this.#deps.registrationTokens.insert(tx, {
          token,
          usesAllowed: limits.usesAllowed ?? undefined,
          expiryTs: limits.expiryTs ?? undefined,
        }),
      )
      if (isNew) return this.get(token)
    }
    throw invalidParam(`Token already exists: ${wish.token ?? ''}`)
  }

  /** Throws `M_NOT_FOUND`, and `M_INVALID_PARAM` for times that have passed. */
  async update(token: string, limits: TokenLimits): Promise<RegistrationTokenRecord> {
    this.#checkExpiry(limits)
    const isThere = await this.#deps.db.write('update_registration_token', (tx) =>
      this.#deps.registrationTokens.update(tx, token, limits),
    )
    if (!isThere) throw noSuchToken(token)
    return this.get(token)
  }

  /** Throws `M_NOT_FOUND`. */
  async delete(token: string): Promise<void> {
    const isDeleted = await this.#deps.db.write('delete_registration_token', (tx) =>
      this.#deps.registrationTokens.delete(tx, token),
    )
    if (!isDeleted) throw noSuchToken(token)
  }

  #checkExpiry({ expiryTs }: TokenLimits): void {
    if (typeof expiryTs === 'number' && expiryTs < this.#deps.clock.now()) {
      throw invalidParam('expiry_time must not be in the past')
    }
  }
}

function canBeUsed(
  { usesAllowed, pending, completed, expiryTs }: RegistrationTokenRecord,
  now: number,
): boolean {
  const isLeft = usesAllowed === undefined || pending + completed < usesAllowed
  return isLeft && (expiryTs === undefined || expiryTs > now)
}

function noSuchToken(token: string): Error {
  return notFound(`No such registration token: ${token}`)
}
