import type { Route } from '../../http/route.js'
import * as unsubscribe from '../pages/unsubscribe.js'
import * as appservicePing from './appservice-ping.js'
import * as appserviceRoomDirectory from './appservice-room-directory.js'
import * as notifications from './notifications.js'
import * as pusher from './pusher.js'
import * as rendezvous from './unstable/rendezvous.js'

/** The endpoints of what reaches devices and bridges: pushers, notifications, application services, rendezvous. */
export const deliveryRoutes: readonly Route[] = [
  appservicePing,
  appserviceRoomDirectory,
  notifications,
  pusher,
  rendezvous,
  unsubscribe,
].flatMap((file) => Object.values<Route>(file))
