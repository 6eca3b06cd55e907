import type { Route } from '../../http/route.js'
import * as sync from './sync.js'

/** Following what happens. */
export const syncRoutes: readonly Route[] = Object.values<Route>(sync)
