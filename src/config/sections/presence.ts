import { section } from '../section.js'
import { duration, flag, group, optional, value, withDefault } from '../values.js'

/** `untracked`: what users set is kept and shown; what they do is not looked at. */
const presenceUse = value<boolean | 'untracked'>('true, false or untracked', (raw) =>
  typeof raw === 'boolean' || raw === 'untracked' ? raw : undefined,
)

/** Whether it shows who is there. */
export const presence = section(
  {
    presence: group({
      enabled: optional(presenceUse),
      include_offline_users_on_sync: withDefault(flag, false),
      last_active_granularity: withDefault(duration, 60_000),
      sync_online_timeout: withDefault(duration, 30_000),
      idle_timeout: withDefault(duration, 5 * 60_000),
    }),
    use_presence: optional(flag),
  },
  ({ presence: raw, use_presence: old }) => {
    const use = raw.enabled ?? old ?? true
    return {
      enabled: use !== false,
      tracked: use === true,
      /** Clients that begin are told of those who are offline, too. */
      tellsOffline: raw.include_offline_users_on_sync,
      /** For how long a change of the time of the last activity is not worth telling. */
      lastActiveGranularityMs: raw.last_active_granularity,
      /** After the last sync, a device counts as there for so long. */
      syncOnlineTimeoutMs: raw.sync_online_timeout,
      /** After the last activity, somebody is idle. */
      idleTimeoutMs: raw.idle_timeout,
    }
  },
)
