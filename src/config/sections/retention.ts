import { section, type SectionContext } from '../section.js'
import { duration, flag, group, listOf, nullable, optional, withDefault } from '../values.js'

const DAY_MS = 24 * 60 * 60_000

/** A policy of `m.room.retention`. */
const policy = group({ min_lifetime: optional(duration), max_lifetime: optional(duration) })

const purgeJob = group({
  interval: duration,
  shortest_max_lifetime: optional(duration),
  longest_max_lifetime: optional(duration),
})

/** How long things are kept. */
export const retention = section(
  {
    retention: group({
      enabled: withDefault(flag, false),
      default_policy: policy,
      allowed_lifetime_min: optional(duration),
      allowed_lifetime_max: optional(duration),
      purge_jobs: optional(listOf(purgeJob, 'a list of jobs')),
    }),
    redaction_retention_period: nullable(duration, 7 * DAY_MS),
    forgotten_room_retention_period: optional(duration),
    user_ips_max_age: nullable(duration, 28 * DAY_MS),
  },
  ({ retention: raw, ...periods }, context) => {
    checkOrder(raw, context)
    return {
      /** Old messages go, as rooms or the default policy say. */
      enabled: raw.enabled,
      defaultPolicy: {
        minLifetimeMs: raw.default_policy.min_lifetime,
        maxLifetimeMs: raw.default_policy.max_lifetime,
      },
      /** The bounds within which rooms may choose. */
      allowedLifetimeMinMs: raw.allowed_lifetime_min,
      allowedLifetimeMaxMs: raw.allowed_lifetime_max,
      /** Each looks after the rooms whose longest lifetime is above the one and up to the other. */
      purgeJobs: (raw.purge_jobs ?? [DAILY]).map((job) => ({
        intervalMs: job.interval,
        shortestMaxLifetimeMs: job.shortest_max_lifetime,
        longestMaxLifetimeMs: job.longest_max_lifetime,
      })),
      /** After which the content of redacted events is removed for good; undefined: never. */
      redactedContentMs: periods.redaction_retention_period,
      /** After which rooms go that all local users have forgotten; undefined: never. */
      forgottenRoomsMs: periods.forgotten_room_retention_period,
      /** After which it is forgotten where users came from; undefined: never. */
      userIpsMs: periods.user_ips_max_age,
    }
  },
)

const DAILY = { interval: DAY_MS, shortest_max_lifetime: undefined, longest_max_lifetime: undefined }

function checkOrder(
  raw: {
    default_policy: { min_lifetime?: number | undefined; max_lifetime?: number | undefined }
    allowed_lifetime_min?: number | undefined
    allowed_lifetime_max?: number | undefined
  },
  context: SectionContext,
): void {
  const { min_lifetime: min, max_lifetime: max } = raw.default_policy
  if (min !== undefined && max !== undefined && min > max) {
    context.fail(['retention', 'default_policy', 'min_lifetime'], 'must not be longer than max_lifetime')
  }
  const { allowed_lifetime_min: least, allowed_lifetime_max: most } = raw
  if (least !== undefined && most !== undefined && least > most) {
    context.fail(['retention', 'allowed_lifetime_min'], 'must not be longer than allowed_lifetime_max')
  }
}
