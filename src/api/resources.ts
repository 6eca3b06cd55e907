import type { ResourceName } from '../config/sections/listeners.js'
import type { Route } from '../http/route.js'
import { adminRoutes } from './admin/index.js'
import { clientRoutes } from './client/index.js'
import { getServerWellKnown } from './client/wellknown.js'
import { federationRoutes, openIdRoutes, serverKeyRoutes } from './federation/index.js'
import { getHealth } from './operations/health.js'
import { getMetrics } from './operations/metrics.js'

/** What a listener serves for the name of a resource; names without endpoints serve nothing. */
const ROUTES: Readonly<Partial<Record<ResourceName, readonly Route[]>>> = {
  client: [...clientRoutes, ...adminRoutes],
  federation: [...federationRoutes, getServerWellKnown],
  keys: serverKeyRoutes,
  metrics: [getMetrics],
  openid: openIdRoutes,
}

/** The routes of a listener with these resources. `/health` is answered by all. */
export function routesOfResources(names: readonly ResourceName[]): readonly Route[] {
  return [...new Set([getHealth, ...names.flatMap((name) => ROUTES[name] ?? [])])]
}

/** Everything that is served anywhere. */
export function allRoutes(): readonly Route[] {
  return routesOfResources(Object.keys(ROUTES) as ResourceName[])
}
