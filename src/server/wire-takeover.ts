import type { HomeserverConfig } from '../config/homeserver-config.js'
import { StateKeyInterner } from '../services/events/state-key-interner.js'
import { inspectSource, type SourceReport } from '../services/takeover/inspection.js'
import { copyMediaFiles, type MediaFilesReport } from '../services/takeover/media-files.js'
import { Takeover, type TakeoverReport } from '../services/takeover/takeover.js'
import { StreamPositionsStore } from '../storage/stores/stream-starts.js'
import { TakeoverStore } from '../storage/stores/takeover.js'
import { readStreamEnds } from '../storage/synapse/streams.js'
import { withSynapseSource, type SourceDatabases, type SynapseSource } from '../storage/synapse/source.js'
import { silentLogger } from '../telemetry/logger.js'
import { createMetrics } from '../telemetry/metrics.js'
import { systemClock } from '../util/clock.js'
import type { ProgressSink } from '../util/progress-sink.js'
import { createEventStores } from './wire-events.js'
import { openStorage, type StorageOptions } from './wire-storage.js'

const BATCH_SIZE = 1_000

export type { MediaFilesReport, SourceReport, TakeoverReport }

export interface TakenOver extends TakeoverReport {
  readonly media: MediaFilesReport
}

/** Where a takeover comes from and goes to. */
export interface TakeoverOptions {
  readonly from: Pick<HomeserverConfig, 'database' | 'server' | 'media'> & SourceDatabases
  readonly to: HomeserverConfig
  readonly progress: ProgressSink
  /** Events of one commit; a thousand by default. */
  readonly batchSize?: number
}

/** Looks a Synapse's database over: what would come over, and what not. Nothing is written anywhere. */
export function inspectSynapse(from: TakeoverOptions['from']): Promise<SourceReport> {
  return withSource(from, (source) => inspectSource(source, { serverName: from.server.serverName }))
}

/**
 * Copies a Synapse's database. `isFinal`: Synapse has been stopped, and this server takes its place; else only rooms are
 * copied, and what is new in them later. Rejects with a `TakeoverRefusal` where the databases are none for that.
 */
export async function takeOverSynapse(options: TakeoverOptions, isFinal: boolean): Promise<TakenOver> {
  const { from, to, progress } = options
  const storage = await openStorage(withBoundedMemory(to), context())
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
      readEndsNow: () => withSource(from, readStreamEnds),
      progress,
      batchSize: options.batchSize ?? BATCH_SIZE,
    })
    await takeover.check()
    return await withSource(from, async (source) => {
      const media = await copyMediaFiles({
        source,
        progress,
        serverName: to.server.serverName,
        from: from.media.storePath,
        to: to.media.storePath,
      })
      const report = isFinal ? await takeover.finish(source) : await takeover.copy(source)
      return { ...report, media }
    })
  } finally {
    await storage.db.close()
  }
}

function withSource<T>(databases: SourceDatabases, work: (source: SynapseSource) => Promise<T>): Promise<T> {
  return withSynapseSource(databases, context(), work)
}

/** Whatever the size of the database: one statement reads at a time, and files that are mapped count as memory. */
function withBoundedMemory({ database, caches }: HomeserverConfig): StorageOptions {
  if (database.name !== 'sqlite') return { database, caches }
  return { caches, database: { ...database, readers: 2, mappedBytes: 0 } }
}

function context() {
  return { logger: silentLogger(), metrics: createMetrics(), clock: systemClock }
}
