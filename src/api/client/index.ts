import type { Route } from '../../http/route.js'
import { accountsRoutes } from './accounts-routes.js'
import { deliveryRoutes } from './delivery-routes.js'
import { discoveryRoutes } from './discovery-routes.js'
import { ephemeralRoutes } from './ephemeral-routes.js'
import { keysRoutes } from './keys-routes.js'
import { mediaRoutes } from './media-routes.js'
import { readingRoutes } from './reading-routes.js'
import { roomsRoutes } from './rooms-routes.js'
import { syncRoutes } from './sync-routes.js'

/** All endpoints of the client-server API. */
export const clientRoutes: readonly Route[] = [
  ...accountsRoutes,
  ...deliveryRoutes,
  ...discoveryRoutes,
  ...ephemeralRoutes,
  ...keysRoutes,
  ...mediaRoutes,
  ...readingRoutes,
  ...roomsRoutes,
  ...syncRoutes,
]
