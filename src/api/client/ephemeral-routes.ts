import type { Route } from '../../http/route.js'
import * as presence from './presence.js'
import * as readMarkers from './read-markers.js'
import * as receipts from './receipts.js'
import * as toDevice from './to-device.js'
import * as typing from './typing.js'

/** The endpoints of what passes by: typing, receipts, presence, and messages between devices. */
export const ephemeralRoutes: readonly Route[] = [presence, readMarkers, receipts, toDevice, typing].flatMap(
  (file) => Object.values<Route>(file),
)
