import { section } from '../section.js'
import { flag, group, integer, listOf, mapOf, text, withDefault } from '../values.js'

const DAY_MS = 24 * 60 * 60_000

const reserved = group({ medium: withDefault(text, 'email'), address: withDefault(text, '') })

/** How many people may use the server. */
export const usage = section(
  {
    limit_usage_by_mau: withDefault(flag, false),
    mau_stats_only: withDefault(flag, false),
    mau_limit_alerting: withDefault(flag, true),
    max_mau_value: withDefault(integer(), 0),
    mau_trial_days: withDefault(integer(), 0),
    mau_appservice_trial_days: withDefault(mapOf(integer()), {}),
    mau_limit_reserved_threepids: withDefault(listOf(reserved), []),
  },
  (raw) => ({
    /** How many people may be active within a month; undefined: any number. */
    maxMonthlyActiveUsers: raw.limit_usage_by_mau ? raw.max_mau_value : undefined,
    /** Who is active within a month is counted, also where nobody is turned away. */
    countsActiveUsers: raw.limit_usage_by_mau || raw.mau_stats_only,
    /** People are told when the limit is reached, where there are server notices. */
    tellsOfLimit: raw.mau_limit_alerting,
    /** New accounts count from this age on. */
    trialMs: raw.mau_trial_days * DAY_MS,
    /** The same for users of application services, by the ID of the service. */
    appserviceTrialMs: Object.fromEntries(
      Object.entries(raw.mau_appservice_trial_days).map(([id, days]) => [id, days * DAY_MS]),
    ),
    /** Whose owners are never turned away. */
    reservedThreepids: raw.mau_limit_reserved_threepids,
  }),
)
