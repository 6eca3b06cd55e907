import type { HomeserverConfig } from '../config/homeserver-config.js'
import { RetentionPolicies } from '../services/events/retention-policies.js'
import { RedactedContent } from '../services/rooms/redacted-content.js'
import { Retention } from '../services/rooms/retention.js'
import type { LocalBus } from '../services/streams/local-bus.js'
import type { PeriodicTask } from '../services/tasks/periodic-tasks.js'
import type { EventSearchStore } from '../storage/stores/event-search.js'
import { ExpiredEventsStore } from '../storage/stores/expired-events.js'
import { RedactedContentStore } from '../storage/stores/redacted-content.js'
import type { Clock } from '../util/clock.js'
import type { BackgroundWork } from './lifecycle.js'
import type { EventStores } from './wire-events.js'
import type { Storage } from './wire-storage.js'

/** As often as Synapse does. */
const PRUNING_INTERVAL_MS = 5 * 60_000

/** What keeps old messages from being read, and deletes them, and what removes redacted content for good. */
export interface RetentionWork {
  /** Undefined where `retention.enabled` is false: then messages are kept for ever. */
  readonly policies: RetentionPolicies | undefined
  readonly background: readonly BackgroundWork[]
}

interface RetentionParts {
  readonly config: HomeserverConfig
  readonly storage: Storage
  readonly clock: Clock
  readonly bus: LocalBus
}

type RetentionStores = EventStores & { readonly eventSearch: EventSearchStore }

export function createRetention(parts: RetentionParts, stores: RetentionStores): RetentionWork {
  const pruning = createPruning(parts, stores)
  const { retention: options } = parts.config
  if (!options.enabled) return { policies: undefined, background: [{ tasks: pruning }] }
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
  return { policies, background: [{ tasks: [...tasks, ...pruning] }] }
}

/** None where redacted content is kept for ever. */
function createPruning({ config, storage, clock }: RetentionParts, stores: RetentionStores): PeriodicTask[] {
  const { redactedContentMs } = config.retention
  if (redactedContentMs === undefined) return []
  const redacted = new RedactedContentStore()
  const content = new RedactedContent({
    ...{ db: storage.db, clock, rooms: stores.rooms, redacted },
    retentionMs: redactedContentMs,
  })
  return [
    {
      name: 'prune_redacted_events',
      intervalMs: PRUNING_INTERVAL_MS,
      run: (signal) => content.prune(signal),
    },
  ]
}
