import { LRUCache } from 'lru-cache'
import { MatrixError } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database, Query } from '../../storage/database.js'
import type { ActiveUsersStore } from '../../storage/stores/active-users.js'
import type { ThreepidsStore } from '../../storage/stores/threepids.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { Gauge, Metrics } from '../../telemetry/metrics.js'
import type { Clock } from '../../util/clock.js'
import type { Requester } from './requester.js'

export interface UsageOptions {
  /** `hs_disabled`: nobody but administrators is served. */
  readonly isDisabled: boolean
  readonly disabledMessage: string
  readonly adminContact: string | undefined
  /** Undefined: any number. */
  readonly maxMonthlyActiveUsers: number | undefined
  /** Who is active is counted; without it, everybody is let in unseen. */
  readonly countsActiveUsers: boolean
  /** New accounts count from this age on. */
  readonly trialMs: number
  readonly appserviceTrialMs: Readonly<Record<string, number>>
  /** Whose owners are never turned away. */
  readonly reservedThreepids: readonly { readonly medium: string; readonly address: string }[]
}

export interface UsageLimitsDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly activeUsers: ActiveUsersStore
  readonly users: UsersStore
  readonly threepids: ThreepidsStore
  readonly metrics: Metrics
  /** Told of people who are counted as active, once an hour; must not fail. */
  readonly onCounted?: (userId: UserId) => void
  readonly options: UsageOptions
}

const MONTH_MS = 30 * 24 * 60 * 60_000
/** Who was let in is not looked at again for this long. */
const REMEMBERED_MS = 60 * 60_000
const MAX_REMEMBERED = 20_000

/**
 * How many people may use the server, and whether anybody may. Refusals are `M_RESOURCE_LIMIT_EXCEEDED`.
 * https://spec.matrix.org/latest/client-server-api/#server-notices
 */
export class UsageLimits {
  readonly #deps: UsageLimitsDependencies
  readonly #letIn = new LRUCache<UserId, number>({ max: MAX_REMEMBERED })
  readonly #active: Gauge
  readonly #activeByService: Gauge
  /** Application services whose users have been counted. */
  readonly #services = new Set<string>()
  #measurements = 0

  constructor(deps: UsageLimitsDependencies) {
    this.#deps = deps
    const { metrics, options } = deps
    this.#active = metrics.gauge({ name: 'synapse_admin_mau_current', help: 'People active within a month' })
    this.#activeByService = metrics.gauge({
      name: 'synapse_admin_mau_current_mau_by_service',
      help: 'People active within a month, by the application service whose users they are',
    })
    metrics
      .gauge({ name: 'synapse_admin_mau_max', help: 'How many people may be active within a month' })
      .set(options.maxMonthlyActiveUsers ?? 0)
  }

  /** Throws where there is no place for a new account. */
  async checkNewcomer(): Promise<void> {
    const { db, options } = this.#deps
    if (options.isDisabled) throw this.#disabled()
    if (options.trialMs === 0 && (await this.#isFull(db.reader))) throw this.#full()
  }

  /** Counts a user as active; throws where there is no place for another. */
  async check(requester: Requester): Promise<void> {
    const { clock, options } = this.#deps
    const { userId, isAdmin, isGuest, appserviceId } = requester
    const isLimited = options.isDisabled || options.maxMonthlyActiveUsers !== undefined
    if (isLimited && isAdmin) return
    if (options.isDisabled) throw this.#disabled()
    if (!options.countsActiveUsers || (isGuest && !isLimited)) return
    const now = clock.now()
    if ((this.#letIn.get(userId) ?? -Infinity) > now - REMEMBERED_MS) return
    const isCounted = await this.#count(userId, now)
    this.#letIn.set(userId, now)
    if (isCounted && appserviceId === undefined) this.#deps.onCounted?.(userId)
  }

  async deleteOld(): Promise<void> {
    const { db, clock, activeUsers } = this.#deps
    await db.write('expire_active_users', (tx) => activeUsers.deleteBefore(tx, clock.now() - MONTH_MS))
  }

  /** Whether there is no place for another. */
  async isFull(): Promise<boolean> {
    return this.#isFull(this.#deps.db.reader)
  }

  /** Writes into the metrics how many have been active. */
  async measure(): Promise<void> {
    const { db, clock, activeUsers } = this.#deps
    const turn = ++this.#measurements
    const counts = await activeUsers.countByService(db.reader, clock.now() - MONTH_MS)
    // What was counted later may be known before.
    if (turn !== this.#measurements) return
    this.#active.set([...counts.values()].reduce((sum, count) => sum + count, 0))
    for (const service of [...this.#services, ...counts.keys()]) {
      this.#services.add(service)
      this.#activeByService.set(counts.get(service) ?? 0, { app_service: service })
    }
  }

  /** False for those who do not count yet. */
  #count(userId: UserId, now: number): Promise<boolean> {
    const { db, activeUsers } = this.#deps
    return db.write('count_active_user', async (tx) => {
      if (await this.#isOnTrial(tx, userId, now)) return false
      const isKnown = await activeUsers.isActiveSince(tx, userId, now - MONTH_MS)
      if (!isKnown && (await this.#isFull(tx)) && !(await this.#isReserved(tx, userId))) throw this.#full()
      await activeUsers.put(tx, userId, now)
      return true
    })
  }

  async #isFull(q: Query): Promise<boolean> {
    const { activeUsers, clock, options } = this.#deps
    if (options.maxMonthlyActiveUsers === undefined) return false
    return (await activeUsers.countSince(q, clock.now() - MONTH_MS)) >= options.maxMonthlyActiveUsers
  }

  async #isOnTrial(q: Query, userId: UserId, now: number): Promise<boolean> {
    const { users, options } = this.#deps
    const user = await users.get(q, userId)
    if (user === undefined || user.userType === 'support') return true
    const ofService =
      user.appserviceId === undefined ? undefined : options.appserviceTrialMs[user.appserviceId]
    return user.createdTs > now - (ofService ?? options.trialMs)
  }

  async #isReserved(q: Query, userId: UserId): Promise<boolean> {
    const { threepids, options } = this.#deps
    const owners = await Promise.all(
      options.reservedThreepids.map(({ medium, address }) =>
        threepids.findOwner(q, medium, address.toLowerCase()),
      ),
    )
    return owners.includes(userId)
  }

  #disabled(): MatrixError {
    return this.#refusal(this.#deps.options.disabledMessage || 'This server is disabled', 'hs_disabled')
  }

  #full(): MatrixError {
    return this.#refusal('This server has reached its limit of monthly active users', 'monthly_active_user')
  }

  #refusal(message: string, limitType: string): MatrixError {
    const { adminContact } = this.#deps.options
    return new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', message, {
      fields: { limit_type: limitType, ...(adminContact !== undefined && { admin_contact: adminContact }) },
    })
  }
}
