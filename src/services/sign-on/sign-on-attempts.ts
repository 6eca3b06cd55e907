import { limitExceeded } from '../../protocol/errors.js'
import type { Database } from '../../storage/database.js'
import type { SignOnAttemptsStore } from '../../storage/stores/sign-on-attempts.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import { randomToken } from '../../util/random.js'
import { hashToken } from '../accounts/token-format.js'
import type { SignOnPurpose } from './identity-provider.js'
import { badSession } from './sign-on-failure.js'

/** What is kept of somebody who has been sent to a service. */
export interface KeptAttempt {
  /** The service's ID. */
  readonly provider: string
  readonly purpose: SignOnPurpose
  readonly memory: Readonly<JsonObject>
}

export interface SignOnAttemptsDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly attempts: SignOnAttemptsStore
  readonly limits?: AttemptLimits
}

/** How many may be open at a time. */
export interface AttemptLimits {
  /** Of one address, behind which a university may be; the oldest are forgotten. */
  readonly perAddress: number
  /** Of all: then nobody begins another until some have ended. */
  readonly total: number
}

/** How long somebody may take at the service. */
export const ATTEMPT_LIFETIME_MS = 15 * 60_000
const DEFAULT_LIMITS: AttemptLimits = { perAddress: 500, total: 50_000 }
const RETRY_MS = 60_000

/** Attempts to sign on: each is good once, for fifteen minutes, and for the browser that has begun it. */
export class SignOnAttempts {
  readonly #deps: SignOnAttemptsDependencies

  constructor(deps: SignOnAttemptsDependencies) {
    this.#deps = deps
  }

  /** A name that a service hands back: 208 bits. */
  newState(): string {
    return randomToken(36)
  }

  /** Keeps an attempt under its state. Throws `M_LIMIT_EXCEEDED` where there are too many. */
  async keep(
    { state, browser, address }: { state: string; browser: string; address: string },
    attempt: KeptAttempt,
  ): Promise<void> {
    const { db, clock, attempts, limits = DEFAULT_LIMITS } = this.#deps
    const now = clock.now()
    const network = networkOf(address)
    await db.write('begin_sign_on', async (tx) => {
      await attempts.deleteExpired(tx, now)
      await attempts.deleteOldest(tx, network, limits.perAddress - 1)
      if ((await attempts.count(tx, limits.total)) >= limits.total) throw limitExceeded(RETRY_MS)
      await attempts.insert(tx, {
        stateHash: hashToken(state),
        browserHash: hashToken(browser),
        provider: attempt.provider,
        purpose: { ...attempt.purpose },
        memory: attempt.memory,
        address: network,
        expiryTs: now + ATTEMPT_LIFETIME_MS,
      })
    })
  }

  /** Takes an attempt away and gives it. Throws `bad_session` where there is none of this browser's. */
  async take(state: string, browser: string | undefined): Promise<KeptAttempt> {
    if (browser === undefined) throw badSession()
    const { db, clock, attempts } = this.#deps
    const hashes = { stateHash: hashToken(state), browserHash: hashToken(browser) }
    const attempt = await db.write('take_sign_on', (tx) => attempts.consume(tx, hashes))
    if (attempt === undefined || attempt.expiryTs <= clock.now()) throw badSession()
    return { ...attempt, purpose: attempt.purpose as SignOnPurpose }
  }

  async deleteExpired(): Promise<void> {
    const { db, clock, attempts } = this.#deps
    await db.write('expire_sign_ons', (tx) => attempts.deleteExpired(tx, clock.now()))
  }
}

/** The address; of IPv6 the half of it that one household has. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address.slice(0, 64)
  const [head = '', tail] = address.split('::', 2)
  const groups = head === '' ? [] : head.split(':')
  // What `::` stands for are zeros.
  if (tail !== undefined) while (groups.length < 4) groups.push('0')
  return groups
    .slice(0, 4)
    .map((group) => group.padStart(4, '0'))
    .join(':')
}
