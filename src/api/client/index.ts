import type { Route } from '../../http/route.js'
import { accountsRoutes } from './accounts-routes.js'

/** All endpoints of the client-server API. */
export const clientRoutes: readonly Route[] = [...accountsRoutes]
