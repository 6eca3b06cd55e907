import type { RateLimits, RateLimitSection } from '../services/accounts/ratelimits.js'
import type { Requester } from '../services/accounts/requester.js'
import type { RateLimitName } from './route.js'

interface Limit {
  readonly section: RateLimitSection
  /** `address`: keyed by the client's address, since nobody is known yet. */
  readonly by: 'user' | 'address'
  /** Counted apart from what else the section limits. */
  readonly isApart?: true
  /** Only what succeeds counts: the steps on the way to it are many. */
  readonly onlySuccess?: true
}

const LIMITS: Readonly<Record<Exclude<RateLimitName, 'none'>, Limit>> = {
  message: { section: 'message', by: 'user' },
  registration: { section: 'registration', by: 'address', onlySuccess: true },
  registrationTokenValidity: { section: 'registrationTokenValidity', by: 'address' },
  login: { section: 'loginAddress', by: 'address' },
  // Whoever signs on logs in afterwards: the one must not use up what is allowed of the other.
  signOn: { section: 'loginAddress', by: 'address', isApart: true },
  presence: { section: 'presencePerUser', by: 'user' },
  reports: { section: 'reports', by: 'user' },
  roomCreation: { section: 'roomCreation', by: 'user' },
  userDirectory: { section: 'userDirectory', by: 'user' },
  mediaCreate: { section: 'mediaCreate', by: 'user' },
  threepidValidation: { section: 'threepidValidation', by: 'address' },
  thirdPartyInvite: { section: 'thirdPartyInvite', by: 'user' },
  keyRequests: { section: 'keyRequests', by: 'user' },
}

export interface LimitedCaller {
  readonly requester: Requester | undefined
  readonly ip: string
}

/** Takes back what a request has counted. */
export type Refund = () => void

/**
 * Counts a request against the limit of its route; throws `M_LIMIT_EXCEEDED` when it is one too many. Gives a function
 * to call when the request comes to nothing, where only success counts.
 */
export async function countRequest(
  limits: RateLimits,
  name: RateLimitName | undefined,
  { requester, ip }: LimitedCaller,
): Promise<Refund | undefined> {
  if (name === undefined || name === 'none') return undefined
  const { section, by, isApart, onlySuccess } = LIMITS[name]
  if (by === 'user' && requester !== undefined) {
    await limits.consumeFor(requester, section)
    return undefined
  }
  const key = isApart === true ? `${name} ${ip}` : ip
  limits.consume(section, key)
  return onlySuccess === true ? () => limits.refund(section, key) : undefined
}
