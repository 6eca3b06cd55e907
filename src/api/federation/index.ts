import type { Route } from '../../http/route.js'
import { backfillRoom, getMissingPreviousEvents } from './backfill.js'
import * as contentRepository from './content-repository.js'
import { getEventAuth } from './event-auth.js'
import { getEventRelationships } from './event-relationships.js'
import { getEvent, getEventByTimestamp, getRoomState, getRoomStateIds } from './events.js'
import { bulkPerspectivesKeyQuery, perspectivesKeyQuery, perspectivesKeyQueryById } from './keys-query.js'
import { getServerKey, getServerKeyById } from './keys-server.js'
import { membershipRoutes } from './membership-routes.js'
import { sendTransaction } from './transactions.js'
import { exchangeOpenIdToken } from './openid.js'
import { outboundRoutes } from './outbound-routes.js'
import { getRoomComplexity } from './room-complexity.js'
import { getVersion } from './version.js'

/** What `keys` of a listener serves: for everybody, without signature. */
export const serverKeyRoutes: readonly Route[] = [
  bulkPerspectivesKeyQuery,
  getServerKey,
  getServerKeyById,
  perspectivesKeyQuery,
  perspectivesKeyQueryById,
]

/** What `openid` of a listener serves, for those who want nothing else of federation. */
export const openIdRoutes: readonly Route[] = [exchangeOpenIdToken]

/** Files, for other servers. */
export const federationMediaRoutes: readonly Route[] = Object.values<Route>(contentRepository)

/** Events, in and out. */
const eventRoutes: readonly Route[] = [
  backfillRoom,
  getEvent,
  getEventAuth,
  getEventByTimestamp,
  getEventRelationships,
  getMissingPreviousEvents,
  getRoomComplexity,
  getRoomState,
  getRoomStateIds,
  sendTransaction,
]

/**
 * All endpoints of the server-server API. Their operations bear the specification's names with `federation` in front,
 * since some of the client-server API are called the same.
 */
export const federationRoutes: readonly Route[] = [
  getVersion,
  ...eventRoutes,
  ...federationMediaRoutes,
  ...membershipRoutes,
  ...openIdRoutes,
  ...outboundRoutes,
  ...serverKeyRoutes,
]
