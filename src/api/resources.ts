import type { ResourceName } from '../config/sections/listeners.js'
import type { Route } from '../http/route.js'
import { adminRoutes } from './admin/index.js'
import { authenticationServiceRoutes } from './authentication-service/index.js'
import { clientRoutes } from './client/index.js'
import { mediaRoutes } from './client/media-routes.js'
import { getServerWellKnown } from './client/wellknown.js'
import { federationMediaRoutes, federationRoutes, openIdRoutes, serverKeyRoutes } from './federation/index.js'
import { agreeToPolicy, policyPage } from './pages/consent.js'
import { loginFallbackPage, startPage, welcomePage } from './pages/start.js'
import { getHealth } from './operations/health.js'
import { getMetrics } from './operations/metrics.js'

/** For people who come with a browser. */
const staticRoutes: readonly Route[] = [startPage, welcomePage, loginFallbackPage]

/** What a listener serves for the name of a resource; names without endpoints serve nothing. */
const ROUTES: Readonly<Partial<Record<ResourceName, readonly Route[]>>> = {
  client: [...clientRoutes, ...adminRoutes, ...authenticationServiceRoutes, ...staticRoutes],
  consent: [policyPage, agreeToPolicy],
  // Servers of before fetch files as clients do.
  federation: [...federationRoutes, ...mediaRoutes, getServerWellKnown],
  keys: serverKeyRoutes,
  media: [...mediaRoutes, ...federationMediaRoutes],
  metrics: [getMetrics],
  openid: openIdRoutes,
  static: staticRoutes,
}

/**
 * The routes of a listener with these resources. `/health` is answered by all. `servesMedia`: files are kept here.
 * `accounts`: in whose hands they are; without it, there is what either can have.
 */
export function routesOfResources(
  names: readonly ResourceName[],
  options: { servesMedia?: boolean; accounts?: Route['accounts'] } = {},
): readonly Route[] {
  const { accounts, servesMedia } = options
  const routes = new Set([getHealth, ...names.flatMap((name) => ROUTES[name] ?? [])])
  if (servesMedia === false) for (const route of ROUTES.media ?? []) routes.delete(route)
  return [...routes].filter(
    (route) => accounts === undefined || route.accounts === undefined || route.accounts === accounts,
  )
}

/** Everything that is served anywhere. */
export function allRoutes(): readonly Route[] {
  return routesOfResources(Object.keys(ROUTES) as ResourceName[])
}
