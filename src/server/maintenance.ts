import type { UiAuth } from '../services/accounts/ui-auth.js'
import type { PeriodicTasks } from '../services/tasks/periodic-tasks.js'
import type { Database } from '../storage/database.js'
import type { ClientIpsStore } from '../storage/stores/client-ips.js'
import { EVENT_TXN_LIFETIME_MS, type EventTxnsStore } from '../storage/stores/event-txns.js'
import type { LoginTokensStore } from '../storage/stores/login-tokens.js'
import type { Clock } from '../util/clock.js'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

export interface MaintenanceParts {
  readonly db: Database
  readonly clock: Clock
  readonly uiAuth: Pick<UiAuth, 'deleteExpired'>
  readonly loginTokens: LoginTokensStore
  readonly eventTxns: EventTxnsStore
  readonly clientIps: ClientIpsStore
  /** `user_ips_max_age`; undefined: for ever. */
  readonly clientIpsMaxAgeMs: number | undefined
}

/** The chores that keep tables from growing without bound. */
export function scheduleMaintenance(tasks: PeriodicTasks, parts: MaintenanceParts): void {
  const { db, clock, uiAuth, loginTokens, eventTxns, clientIps, clientIpsMaxAgeMs } = parts
  tasks.every({
    name: 'expire_ui_auth_sessions',
    intervalMs: 10 * MINUTE_MS,
    run: () => uiAuth.deleteExpired(),
  })
  tasks.every({
    name: 'expire_login_tokens',
    intervalMs: 10 * MINUTE_MS,
    run: async () => {
      await db.write('expire_login_tokens', (tx) => loginTokens.deleteExpired(tx, clock.now()))
    },
  })
  tasks.every({
    name: 'expire_event_transactions',
    intervalMs: HOUR_MS,
    run: async () => {
      const before = clock.now() - EVENT_TXN_LIFETIME_MS
      await db.write('expire_event_transactions', (tx) => eventTxns.deleteBefore(tx, before))
    },
  })
  if (clientIpsMaxAgeMs === undefined) return
  tasks.every({
    name: 'expire_client_addresses',
    intervalMs: HOUR_MS,
    run: async () => {
      const before = clock.now() - clientIpsMaxAgeMs
      await db.write('expire_client_addresses', (tx) => clientIps.deleteBefore(tx, before))
    },
  })
}
