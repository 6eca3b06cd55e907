import type { Route } from '../../http/route.js'
import * as sync from './sync.js'
import * as delayedEvents from './unstable/delayed-events.js'
import * as retentionConfiguration from './unstable/retention-configuration.js'
import * as rtcTransports from './unstable/rtc-transports.js'
import * as slidingSync from './unstable/sliding-sync.js'
import * as threadSubscriptions from './unstable/thread-subscriptions.js'

/** Following what happens. */
export const syncRoutes: readonly Route[] = [
  ...Object.values<Route>(sync),
  ...Object.values<Route>(delayedEvents),
  ...Object.values<Route>(retentionConfiguration),
  ...Object.values<Route>(rtcTransports),
  ...Object.values<Route>(slidingSync),
  ...Object.values<Route>(threadSubscriptions),
]
