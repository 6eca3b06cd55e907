import type { HomeserverConfig } from '../config/homeserver-config.js'
import { RetentionPolicies } from '../services/events/retention-policies.js'
import { Retention } from '../services/rooms/retention.js'
import type { LocalBus } from '../services/streams/local-bus.js'
import type { EventSearchStore } from '../storage/stores/event-search.js'
import { ExpiredEventsStore } from '../storage/stores/expired-events.js'
import type { Clock } from '../util/clock.js'
import type { BackgroundWork } from './lifecycle.js'
import type { EventStores } from './wire-events.js'
import type { Storage } from './wire-storage.js'

/** What keeps old messages from being read, and deletes them. */
export interface RetentionWork {
  /** Undefined where `retention.enabled` is false: then messages are kept for ever. */
  readonly policies: RetentionPolicies | undefined
  readonly background: readonly BackgroundWork[]
}

export function createRetention(
  parts: {
    readonly config: HomeserverConfig
    readonly storage: Storage
    readonly clock: Clock
    readonly bus: LocalBus
  },
  stores: EventStores & { readonly eventSearch: EventSearchStore },
): RetentionWork {
  const { retention: options } = parts.config
  if (!options.enabled) return { policies: undefined, background: [] }
  const { clock, bus } = parts
  const { db, caches } = parts.storage
  const policies = new RetentionPolicies({ ...stores, clock, caches }, options)
  bus.subscribe(policies)
  const retention = new Retention({
    db,
    clock,
    policies,
    expired: new ExpiredEventsStore(stores),
    concernsAllRooms: options.defaultPolicy.maxLifetimeMs !== undefined,
  })
  const tasks = options.purgeJobs.map((job, index) => ({
    name: `purge_expired_events_${index}`,
    intervalMs: job.intervalMs,
    run: (signal: AbortSignal) => retention.purge(job, signal),
  }))
  return { policies, background: [{ tasks }] }
}
