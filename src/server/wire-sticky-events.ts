import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { StickyRetrials } from '../services/events/sticky-retrials.js'
import type { LocalBus } from '../services/streams/local-bus.js'
import { DelayedRuns } from '../services/tasks/delayed-runs.js'
import type { Clock } from '../util/clock.js'
import type { BackgroundWork } from './lifecycle.js'

/** What happens in this time is looked at together. */
const DELAY_MS = 500

/** Has sticky events judged again when something has happened, where events can be sticky. */
export function createStickyWork(parts: {
  readonly config: Pick<HomeserverConfig, 'experimental'>
  readonly clock: Clock
  readonly bus: LocalBus
  readonly retrials: Pick<StickyRetrials, 'run'>
  readonly onError: (error: unknown) => void
}): BackgroundWork {
  const { config, clock, bus, retrials, onError } = parts
  if (!config.experimental.stickyEvents) return {}
  const runs = new DelayedRuns({ clock, delayMs: DELAY_MS, run: (signal) => retrials.run(signal), onError })
  bus.subscribe({
    onNewPosition: (stream) => {
      if (stream === 'events') runs.schedule()
    },
  })
  return { start: () => runs.schedule(), stop: () => runs.stop() }
}
