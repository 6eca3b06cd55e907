import type { HomeserverConfig } from '../config/homeserver-config.js'
import { StateKeyInterner } from '../services/events/state-key-interner.js'
import { inspectSource, type SourceReport } from '../services/takeover/inspection.js'
import { Takeover, type TakeoverReport } from '../services/takeover/takeover.js'
import { StreamPositionsStore } from '../storage/stores/stream-starts.js'
import { TakeoverStore } from '../storage/stores/takeover.js'
import { withSynapseSource, type SynapseSource } from '../storage/synapse/source.js'
import { silentLogger } from '../telemetry/logger.js'
import { createMetrics } from '../telemetry/metrics.js'
import { systemClock } from '../util/clock.js'
import type { ProgressSink } from '../util/progress-sink.js'
import { createEventStores } from './wire-events.js'
import { openStorage } from './wire-storage.js'

export type { SourceReport, TakeoverReport }

/** Where a takeover comes from and goes to. */
export interface TakeoverOptions {
  readonly from: Pick<HomeserverConfig, 'database' | 'server'>
  readonly to: HomeserverConfig
  readonly progress: ProgressSink
}

/** Looks a Synapse's database over: what would come over, and what not. Nothing is written anywhere. */
export function inspectSynapse({ from }: Pick<TakeoverOptions, 'from'>): Promise<SourceReport> {
  return withSource(from, (source) => inspectSource(source, { serverName: from.server.serverName }))
}

/**
 * Copies a Synapse's database. `isFinal`: Synapse has been stopped, and this server takes its place; else only rooms are
 * copied, and what is new in them later. Rejects with a `TakeoverRefusal` where the databases are none for that.
 */
export async function takeOverSynapse(options: TakeoverOptions, isFinal: boolean): Promise<TakeoverReport> {
  const { from, to } = options
  const storage = await openStorage(to, context())
  try {
    const { db, caches, ids } = storage
    const stores = createEventStores(caches, { eventCacheSize: to.caches.eventCacheSize })
    const takeover = new Takeover({
      ...stores,
      db,
      takeover: new TakeoverStore(),
      streamStarts: new StreamPositionsStore(),
      interner: new StateKeyInterner(db, stores.stateKeys, ids.stateKeys),
      roomIds: ids.rooms,
      snapshotIds: ids.snapshots,
      chainIds: ids.authChains,
      serverName: to.server.serverName,
      clock: systemClock,
      progress: options.progress,
    })
    await takeover.check()
    return await withSource(from, (source) => (isFinal ? takeover.finish(source) : takeover.copy(source)))
  } finally {
    await storage.db.close()
  }
}

async function withSource<T>(
  { database }: TakeoverOptions['from'],
  work: (source: SynapseSource) => Promise<T>,
): Promise<T> {
  return withSynapseSource(database, context(), work)
}

function context() {
  return { logger: silentLogger(), metrics: createMetrics(), clock: systemClock }
}
