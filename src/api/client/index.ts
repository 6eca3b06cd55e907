import type { Route } from '../../http/route.js'
import { accountsRoutes } from './accounts-routes.js'
import { ephemeralRoutes } from './ephemeral-routes.js'
import { keysRoutes } from './keys-routes.js'
import { readingRoutes } from './reading-routes.js'
import { roomsRoutes } from './rooms-routes.js'
import { syncRoutes } from './sync-routes.js'

/** All endpoints of the client-server API. */
export const clientRoutes: readonly Route[] = [
  ...accountsRoutes,
  ...ephemeralRoutes,
  ...keysRoutes,
  ...readingRoutes,
  ...roomsRoutes,
  ...syncRoutes,
]
