import type { EmailValidations } from '../services/accounts/email-validations.js'
import type { UiAuth } from '../services/accounts/ui-auth.js'
import type { Devices } from '../services/devices/devices.js'
import type { PeriodicTasks } from '../services/tasks/periodic-tasks.js'
import type { Database } from '../storage/database.js'
import type { AccessTokensStore } from '../storage/stores/access-tokens.js'
import type { ClientIpsStore } from '../storage/stores/client-ips.js'
import type { DeviceInboxStore } from '../storage/stores/device-inbox.js'
import { EVENT_TXN_LIFETIME_MS, type EventTxnsStore } from '../storage/stores/event-txns.js'
import type { LoginTokensStore } from '../storage/stores/login-tokens.js'
import type { OpenIdTokensStore } from '../storage/stores/openid-tokens.js'
import type { RefreshTokensStore } from '../storage/stores/refresh-tokens.js'
import type { StickyEventsStore } from '../storage/stores/sticky-events.js'
import type { PushersStore } from '../storage/stores/pushers.js'
import type { Clock } from '../util/clock.js'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** A device for which more messages wait has been away for very long: it loses the oldest. */
const MAX_WAITING_MESSAGES = 50_000
/**
 * How long the tokens of a session that has expired stay: whoever comes back with one of them is told to log in again
 * and keeps their keys, which is not so with a token that nobody knows.
 */
export const EXPIRED_SESSION_KEPT_MS = 90 * 24 * HOUR_MS

export interface MaintenanceParts {
  readonly db: Database
  readonly clock: Clock
  readonly uiAuth: Pick<UiAuth, 'deleteExpired'>
  readonly emailValidations: Pick<EmailValidations, 'deleteExpired'>
  readonly loginTokens: LoginTokensStore
  readonly openIdTokens: OpenIdTokensStore
  readonly accessTokens: AccessTokensStore
  readonly refreshTokens: RefreshTokensStore
  readonly eventTxns: EventTxnsStore
  readonly clientIps: ClientIpsStore
  readonly devices: Pick<Devices, 'deleteStale'>
  /** `delete_stale_devices_after`; undefined: devices stay. */
  readonly staleDevicesAfterMs: number | undefined
  readonly inbox: Pick<DeviceInboxStore, 'deleteExcess'>
  readonly stickyEvents: Pick<StickyEventsStore, 'deleteExpired'>
  readonly pushers: Pick<PushersStore, 'deleteOrphanedThrottles'>
  /** `user_ips_max_age`; undefined: for ever. */
  readonly clientIpsMaxAgeMs: number | undefined
}

/** The chores that keep tables from growing without bound. */
export function scheduleMaintenance(tasks: PeriodicTasks, parts: MaintenanceParts): void {
  const { db, clock, uiAuth, eventTxns, clientIps, inbox, pushers, stickyEvents, clientIpsMaxAgeMs } = parts
  scheduleTokenExpiry(tasks, parts)
  scheduleStaleDevices(tasks, parts)
  tasks.every({
    name: 'expire_ui_auth_sessions',
    intervalMs: 10 * MINUTE_MS,
    run: () => uiAuth.deleteExpired(),
  })
  tasks.every({
    name: 'expire_threepid_validations',
    intervalMs: HOUR_MS,
    run: () => parts.emailValidations.deleteExpired(),
  })
  tasks.every({
    name: 'expire_event_transactions',
    intervalMs: HOUR_MS,
    run: async () => {
      const before = clock.now() - EVENT_TXN_LIFETIME_MS
      await db.write('expire_event_transactions', (tx) => eventTxns.deleteBefore(tx, before))
    },
  })
  tasks.every({
    name: 'expire_sticky_events',
    intervalMs: HOUR_MS,
    run: async () => {
      await db.write('expire_sticky_events', (tx) => stickyEvents.deleteExpired(tx, clock.now()))
    },
  })
  tasks.every({
    name: 'bound_device_inboxes',
    intervalMs: HOUR_MS,
    run: async () => {
      await db.write('bound_device_inboxes', async (tx) => {
        await inbox.deleteExcess(tx, MAX_WAITING_MESSAGES)
        await pushers.deleteOrphanedThrottles(tx)
      })
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

function scheduleStaleDevices(
  tasks: PeriodicTasks,
  { clock, devices, staleDevicesAfterMs }: MaintenanceParts,
): void {
  if (staleDevicesAfterMs === undefined) return
  tasks.every({
    name: 'delete_stale_devices',
    intervalMs: HOUR_MS,
    run: (signal) => devices.deleteStale(clock.now() - staleDevicesAfterMs, signal),
  })
}

function scheduleTokenExpiry(
  tasks: PeriodicTasks,
  { db, clock, loginTokens, openIdTokens, accessTokens, refreshTokens }: MaintenanceParts,
): void {
  tasks.every({
    name: 'expire_short_lived_tokens',
    intervalMs: 10 * MINUTE_MS,
    run: async () => {
      await db.write('expire_short_lived_tokens', async (tx) => {
        await loginTokens.deleteExpired(tx, clock.now())
        await openIdTokens.deleteExpired(tx, clock.now())
      })
    },
  })
  tasks.every({
    name: 'expire_sessions',
    intervalMs: HOUR_MS,
    run: async () => {
      const before = clock.now() - EXPIRED_SESSION_KEPT_MS
      await db.write('expire_sessions', async (tx) => {
        await refreshTokens.deleteExpired(tx, before)
        await accessTokens.deleteExpired(tx, before)
      })
    },
  })
}
