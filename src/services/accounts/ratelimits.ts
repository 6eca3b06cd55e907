import { limitExceeded } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Clock } from '../../util/clock.js'
import { LeakyBuckets, type BucketRate } from '../../util/leaky-bucket.js'
import type { AttemptLimiter } from './attempt-limiter.js'
import type { Requester } from './requester.js'

/**
 * The limits and what they are unless the configuration says otherwise: one for each `rc_*` section (or part of one)
 * of Synapse's, with its defaults. In parentheses: what they are keyed by.
 */
export const DEFAULT_RATE_LIMITS = {
  /** `rc_message` (user) */
  message: { perSecond: 0.2, burstCount: 10 },
  /** `rc_registration` (address) */
  registration: { perSecond: 0.17, burstCount: 3 },
  /** `rc_registration_token_validity` (address) */
  registrationTokenValidity: { perSecond: 0.1, burstCount: 5 },
  /** `rc_login.address` (address) */
  loginAddress: { perSecond: 0.003, burstCount: 5 },
  /** `rc_login.account` (user) */
  loginAccount: { perSecond: 0.003, burstCount: 5 },
  /** `rc_login.failed_attempts` (user) */
  loginFailedAttempts: { perSecond: 0.17, burstCount: 3 },
  /** `rc_admin_redaction` (user) */
  adminRedaction: { perSecond: 0.2, burstCount: 10 },
  /** `rc_joins.local` (user) */
  joinsLocal: { perSecond: 0.1, burstCount: 10 },
  /** `rc_joins.remote` (user) */
  joinsRemote: { perSecond: 0.01, burstCount: 10 },
  /** `rc_joins_per_room` (room) */
  joinsPerRoom: { perSecond: 1, burstCount: 10 },
  /** `rc_3pid_validation` (address, and medium with address of the identifier) */
  threepidValidation: { perSecond: 0.003, burstCount: 5 },
  /** `rc_invites.per_room` (room) */
  invitesPerRoom: { perSecond: 0.3, burstCount: 10 },
  /** `rc_invites.per_user` (invited user) */
  invitesPerUser: { perSecond: 0.003, burstCount: 5 },
  /** `rc_invites.per_issuer` (inviting user) */
  invitesPerIssuer: { perSecond: 0.3, burstCount: 10 },
  /** `rc_third_party_invite` (user) */
  thirdPartyInvite: { perSecond: 0.0025, burstCount: 5 },
  /** `rc_media_create` (user) */
  mediaCreate: { perSecond: 10, burstCount: 50 },
  /** `rc_key_requests` (user or device) */
  keyRequests: { perSecond: 20, burstCount: 100 },
  /** `rc_presence.per_user` (user) */
  presencePerUser: { perSecond: 0.1, burstCount: 1 },
  /** `rc_delayed_event_mgmt` (user) */
  delayedEventManagement: { perSecond: 1, burstCount: 5 },
  /** `rc_reports` (user) */
  reports: { perSecond: 1, burstCount: 5 },
  /** `rc_room_creation` (user) */
  roomCreation: { perSecond: 0.016, burstCount: 10 },
  /** `rc_user_directory` (user) */
  userDirectory: { perSecond: 0.016, burstCount: 200 },
  /** `remote_media_download_per_second` and `_burst_count` in bytes (address) */
  remoteMediaDownload: { perSecond: 87 * 1024, burstCount: 500 * 1024 * 1024 },
} as const satisfies Record<string, BucketRate>

export type RateLimitSection = keyof typeof DEFAULT_RATE_LIMITS

export type RateLimitSettings = Readonly<Partial<Record<RateLimitSection, BucketRate>>>

/** A user's own limit for messages; `perSecond: 0` frees the user from all limits. */
export type RateLimitOverride = BucketRate

/** Who need not keep to the limits; answers are expected to come from memory mostly. */
export interface RateLimitExemptions {
  /** The row of the administration API's `override_ratelimit`. */
  override(userId: UserId): Promise<RateLimitOverride | undefined>
  /** False for application services with `rate_limited: false`, and for a service's own user. */
  isAppserviceLimited(appserviceId: string, userId: UserId): boolean
}

export type LimitedRequester = Pick<Requester, 'userId' | 'appserviceId'>

const NO_EXEMPTIONS: RateLimitExemptions = {
  override: () => Promise.resolve(undefined),
  isAppserviceLimited: () => true,
}

/** All limits of the server, in memory. */
export class RateLimits {
  readonly #exemptions: RateLimitExemptions
  readonly #buckets: ReadonlyMap<RateLimitSection, LeakyBuckets>
  readonly #clock: Pick<Clock, 'now'>
  /** Those whose limit for messages is their own. */
  readonly #overridden = new Map<string, LeakyBuckets>()

  constructor(
    clock: Pick<Clock, 'now'>,
    settings: RateLimitSettings = {},
    exemptions: RateLimitExemptions = NO_EXEMPTIONS,
  ) {
    this.#clock = clock
    this.#exemptions = exemptions
    this.#buckets = new Map(
      Object.entries(completed(settings)).map(([section, rate]) => [
        section as RateLimitSection,
        new LeakyBuckets({ clock, ...rate }),
      ]),
    )
  }

  /** Takes on other settings, as after a change of the configuration; what was counted so far remains. */
  update(settings: RateLimitSettings): void {
    for (const [section, rate] of Object.entries(completed(settings))) {
      this.#of(section as RateLimitSection).setRate(rate)
    }
  }

  /** Counts one request (or `cost` units); throws `M_LIMIT_EXCEEDED`, and counts nothing, when it is one too many. */
  consume(section: RateLimitSection, key: string, cost = 1): void {
    const waitMs = this.#of(section).take(key, cost)
    if (waitMs > 0) throw limitExceeded(waitMs)
  }

  /** Throws `M_LIMIT_EXCEEDED` where `consume` would; counts nothing. */
  check(section: RateLimitSection, key: string, cost = 1): void {
    const waitMs = this.#of(section).peek(key, cost)
    if (waitMs > 0) throw limitExceeded(waitMs)
  }

  refund(section: RateLimitSection, key: string, cost = 1): void {
    this.#of(section).refund(key, cost)
  }

  /** As `consume`, except for those who are exempt. `key` is the requester's user ID unless it is given. */
  async consumeFor(
    requester: LimitedRequester,
    section: RateLimitSection,
    options: { readonly key?: string; readonly cost?: number } = {},
  ): Promise<void> {
    if (this.#isFreeAppservice(requester)) return
    const override = await this.#exemptions.override(requester.userId)
    if (override !== undefined && override.perSecond <= 0) return
    if (override !== undefined && section === 'message') {
      const waitMs = this.#overriddenBuckets(override).take(requester.userId, options.cost)
      if (waitMs > 0) throw limitExceeded(waitMs)
      return
    }
    this.consume(section, options.key ?? requester.userId, options.cost)
  }

  /** True when `consumeFor` lets everything of the requester through. */
  async isExempt(requester: LimitedRequester): Promise<boolean> {
    if (this.#isFreeAppservice(requester)) return true
    const override = await this.#exemptions.override(requester.userId)
    return override !== undefined && override.perSecond <= 0
  }

  /** One section for those who count attempts of one kind. */
  limiter(section: RateLimitSection): AttemptLimiter {
    return {
      consume: (key) => this.consume(section, key),
      refund: (key) => this.refund(section, key),
    }
  }

  #isFreeAppservice({ appserviceId, userId }: LimitedRequester): boolean {
    return appserviceId !== undefined && !this.#exemptions.isAppserviceLimited(appserviceId, userId)
  }

  #of(section: RateLimitSection): LeakyBuckets {
    return this.#buckets.get(section)!
  }

  /** Users with one limit share a set of buckets; there are as many limits as administrators think of. */
  #overriddenBuckets(override: RateLimitOverride): LeakyBuckets {
    const key = `${override.perSecond}/${override.burstCount}`
    const known = this.#overridden.get(key)
    if (known !== undefined) return known
    if (this.#overridden.size >= MAX_OVERRIDES) this.#overridden.clear()
    const made = new LeakyBuckets({ clock: this.#clock, ...override })
    this.#overridden.set(key, made)
    return made
  }
}

const MAX_OVERRIDES = 1000

/** Redactions by administrators count as messages where the section is absent. */
function completed(settings: RateLimitSettings): Record<RateLimitSection, BucketRate> {
  const all = { ...DEFAULT_RATE_LIMITS, ...settings }
  return { ...all, adminRedaction: settings.adminRedaction ?? all.message }
}
