import type { Route } from '../../http/route.js'
import * as devices from './devices.js'
import * as users from './users.js'

/** What an authentication service calls that has the accounts of this server in its hands, by Synapse's paths. */
export const authenticationServiceRoutes: readonly Route[] = [users, devices].flatMap(
  (module: Readonly<Record<string, Route>>) => Object.values(module),
)
