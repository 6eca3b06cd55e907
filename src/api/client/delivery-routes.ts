import type { Route } from '../../http/route.js'
import * as notifications from './notifications.js'
import * as pusher from './pusher.js'
import * as rendezvous from './unstable/rendezvous.js'

/** The endpoints of what reaches devices and bridges: pushers, notifications, application services, rendezvous. */
export const deliveryRoutes: readonly Route[] = [notifications, pusher, rendezvous].flatMap((file) =>
  Object.values<Route>(file),
)
